/*
 * journal.c - four pages.
 *
 *     0  who: a JSON object, filled up with zeros
 *     1  what was written, and on which boot of the machine
 *     2  what was flushed: these two are
 *     3  written in turn, so that one is whole whatever happens
 *
 * A page is written with one pwrite() inside a page of the page cache, so a kill can't
 * tear it; a power cut can, and the check sum finds that.  Each page carries the id of
 * page 0: marks of an earlier beginning are not ours.
 */
#include "journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"

enum {
    PAGE = 4096,
    WRITTEN_AT = 1 * PAGE,
    FLUSHED_AT = 2 * PAGE,
    VERSION = 1,
};

struct marks {
    uint64_t check; /* of all that follows, up to the last range */
    uint64_t id;
    uint64_t generation;
    char boot[40];
    struct spans spans;
};

static_assert(sizeof(struct marks) <= PAGE, "marks fit into their page");

/* --- input and output ------------------------------------------------------- */

static enum err put(int fd, const void *bytes, size_t n, off_t at, struct error *error)
{
    ssize_t done;
    do
        done = pwrite(fd, bytes, n, at);
    while (done < 0 && errno == EINTR);
    if (done < 0)
        return errno == ENOSPC || errno == EDQUOT
                   ? fail(error, ERR_NO_SPACE, "cannot write the download's journal: %s",
                          strerror(errno))
                   : fail_sys(error, "cannot write the download's journal");
    if ((size_t)done != n)
        return fail(error, ERR_NO_SPACE, "cannot write the download's journal: no room");
    return OK;
}

static enum err flush(int fd, struct error *error)
{
    return fdatasync(fd) < 0 ? fail_sys(error, "cannot flush the download's journal") : OK;
}

/* FNV-1a: it finds torn pages; nobody is to be kept from forging one. */
static uint64_t check_of(const struct marks *m)
{
    const unsigned char *at = (const unsigned char *)m + sizeof m->check;
    const unsigned char *end = (const unsigned char *)&m->spans.at[m->spans.n];
    uint64_t sum = 14695981039346656037u;
    for (; at < end; at++)
        sum = (sum ^ *at) * 1099511628211u;
    return sum;
}

static enum err put_marks(const struct journal *j, const struct spans *spans, off_t at,
                          uint64_t generation, struct error *error)
{
    struct marks m;
    memset(&m, 0, sizeof m);
    m.id = j->id;
    m.generation = generation;
    memcpy(m.boot, j->boot, sizeof m.boot);
    m.spans.n = spans->n;
    memcpy(m.spans.at, spans->at, spans->n * sizeof spans->at[0]);
    m.check = check_of(&m);
    return put(j->fd, &m, offsetof(struct marks, spans.at) + spans->n * sizeof spans->at[0], at,
               error);
}

/* False unless the marks there are whole and of this download. */
static bool get_marks(const struct journal *j, off_t at, struct marks *ret)
{
    memset(ret, 0, sizeof *ret);
    ssize_t n = pread(j->fd, ret, sizeof *ret, at);
    return n >= (ssize_t)offsetof(struct marks, spans.at) && ret->spans.n <= SPANS_MAX &&
           n >= (ssize_t)(offsetof(struct marks, spans.at) +
                          ret->spans.n * sizeof ret->spans.at[0]) &&
           ret->check == check_of(ret) && ret->id == j->id;
}

/* --- open and close --------------------------------------------------------- */

/* An unknown boot is like no other: then only flushed marks count. */
static void read_boot_id(char ret[40])
{
    memset(ret, 0, 40);
    CLEANUP(close_fd) int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, ret, 36) != 36)
        memset(ret, 0, 40);
}

enum err journal_open(struct journal *j, int dir_fd, const char *name, struct error *error)
{
    *j = (struct journal){ .fd = -1 };
    read_boot_id(j->boot);
    j->fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    if (j->fd < 0)
        return errno == ELOOP ? fail(error, ERR_CONFIG, "the download's journal is a symbolic link")
                              : fail_sys(error, "cannot open the download's journal");
    struct stat st;
    if (fstat(j->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        journal_close(j);
        return fail(error, ERR_CONFIG, "the download's journal is not a regular file");
    }
    return OK;
}

void journal_close(struct journal *j)
{
    close_fd(&j->fd);
}

/* --- whose bytes ------------------------------------------------------------ */

static bool take_text(const json_t *tree, const char *key, char *ret, size_t size)
{
    const char *text = NULL;
    if (json_get_string(tree, key, &text, NULL) != OK)
        return false;
    if (text && strlen(text) >= size)
        return false;
    strcpy(ret, text ? text : "");
    return true;
}

static bool load_identity(struct journal *j, struct identity *ret)
{
    char page[PAGE + 1] = "";
    ssize_t n = pread(j->fd, page, PAGE, 0);
    if (n <= 0)
        return false;
    CLEANUP(json_drop) json_t *tree = NULL;
    int64_t version = 0;
    return json_read(page, strnlen(page, (size_t)n), &tree, NULL) == OK &&
           json_get_int(tree, "version", 0, INT64_MAX, &version, NULL) == OK &&
           version == VERSION && json_get_u64(tree, "id", &j->id, NULL) == OK &&
           json_get_u64(tree, "size_bytes", &ret->size, NULL) == OK &&
           take_text(tree, "source", ret->source, sizeof ret->source) &&
           take_text(tree, "etag", ret->etag, sizeof ret->etag) &&
           take_text(tree, "last_modified", ret->last_modified, sizeof ret->last_modified);
}

bool journal_load(struct journal *j, uint64_t data_size, struct identity *ret_identity,
                  struct spans *ret_written)
{
    struct identity identity = { .size = 0 };
    struct marks marks, other;
    if (!load_identity(j, &identity))
        return false;
    bool first = get_marks(j, FLUSHED_AT, &marks);
    if (get_marks(j, FLUSHED_AT + PAGE, &other) &&
        (!first || other.generation > marks.generation)) {
        marks = other;
        first = true;
    }
    j->generation = first ? marks.generation : 0;
    if (get_marks(j, WRITTEN_AT, &other) && other.boot[0] &&
        memcmp(other.boot, j->boot, sizeof j->boot) == 0)
        marks = other;
    else if (!first)
        return false;

    const struct spans *s = &marks.spans;
    if (s->n == 0 || s->at[s->n - 1].to > data_size)
        return false;
    *ret_identity = identity;
    *ret_written = *s;
    return true;
}

/* Header fields are bytes of the server's; only text can be kept. */
static const char *plain(const char *text)
{
    for (const char *c = text; *c; c++)
        if (*c < ' ' || *c > '~')
            return "";
    return text;
}

enum err journal_begin(struct journal *j, const struct identity *identity, struct error *error)
{
    uint64_t id;
    if (getrandom(&id, sizeof id, 0) != sizeof id)
        return fail_sys(error, "the kernel gives no random numbers");
    j->id = id >> 2; /* JSON's integers are signed */
    j->generation = 0;
    CLEANUP(json_drop)
    json_t *tree =
        json_pack("{sI ss ss ss sI si}", "id", (json_int_t)j->id, "source", plain(identity->source),
                  "etag", plain(identity->etag), "last_modified", plain(identity->last_modified),
                  "size_bytes", (json_int_t)identity->size, "version", VERSION);
    char page[PAGE] = "";
    if (!tree)
        return fail_nomem(error);
    size_t n = json_dumpb(tree, page, sizeof page, JSON_COMPACT | JSON_SORT_KEYS);
    if (n == 0 || n >= sizeof page)
        return fail(error, ERR_INTERNAL, "the download's journal does not fit its page");
    enum err e = put(j->fd, page, sizeof page, 0, error);
    return e ? e : flush(j->fd, error);
}

/* --- which bytes ------------------------------------------------------------ */

enum err journal_mark(struct journal *j, const struct spans *written, struct error *error)
{
    return put_marks(j, written, WRITTEN_AT, 0, error);
}

enum err journal_mark_flushed(struct journal *j, const struct spans *flushed, struct error *error)
{
    uint64_t generation = j->generation + 1;
    off_t at = FLUSHED_AT + (off_t)(generation % 2) * PAGE;
    enum err e = put_marks(j, flushed, at, generation, error);
    if (!e)
        e = flush(j->fd, error);
    if (!e)
        j->generation = generation;
    return e;
}
