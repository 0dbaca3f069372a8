/*
 * store.c - where things lie, and who may work on them.
 *
 * Descriptors of the four directories are opened once; a name below them is a model name
 * or a digest, both checked, so no path is ever put together from what came from outside.
 *
 * Nothing is published before it was flushed, nothing counts as published before its
 * directory was.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/file.h"
#include "store/dir.h"
#include "store/name.h"

#define GC_LOCK     ".gc"
#define LOCK_SUFFIX ".lock"

/* The longest path below the root: that of a partial's journal. */
enum { BELOW_ROOT_MAX = 256 };

void utc_now(const char *format, char *ret, size_t size)
{
    time_t now = time(NULL);
    struct tm tm;
    if (!gmtime_r(&now, &tm) || strftime(ret, size, format, &tm) == 0)
        snprintf(ret, size, "1970-01-01T00:00:00Z"); /* a year beyond all calendars */
}

/* --- where it is --------------------------------------------------------------- */

static enum err join(const char *base, const char *rest, char **ret, struct error *error)
{
    if (asprintf(ret, "%s/%s", base, rest) < 0)
        return fail_nomem(error);
    return OK;
}

/* NULL if it is not set, or empty. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

static enum err below_home(const char *rest, char **ret, struct error *error)
{
    const char *home = variable("HOME");
    if (!home)
        return fail(error, ERR_CONFIG,
                    "no place for the model store: HOME is not set; set MODELS_HOME");
    return join(home, rest, ret, error);
}

enum err store_find(const char *configured, char **ret_root, struct error *error)
{
    const char *path = configured && configured[0] ? configured : NULL;
    if (path && strncmp(path, "~/", 2) == 0)
        return below_home(path + 2, ret_root, error);
    if (!path)
        path = variable("MODELS_HOME");
    if (path) {
        char *copy = strdup(path);
        if (!copy)
            return fail_nomem(error);
        *ret_root = copy;
        return OK;
    }
    path = variable("XDG_DATA_HOME");
    if (path)
        return join(path, "models", ret_root, error);
    return below_home(".local/share/models", ret_root, error);
}

void store_blob_path(const struct store *s, const struct digest *d, char *ret)
{
    struct blob_names names = blob_names(d);
    snprintf(ret, STORE_PATH_MAX, "%s/blobs/sha256/%s/%s/data", s->root, names.aa, names.blob);
}

void store_partial_path(const struct store *s, const struct digest *d, char *ret)
{
    struct blob_names names = blob_names(d);
    snprintf(ret, STORE_PATH_MAX, "%s/blobs/sha256/%s/%s/data.tmp", s->root, names.aa,
             names.partial);
}

struct blob_names blob_names(const struct digest *d)
{
    struct blob_names names;
    snprintf(names.aa, sizeof names.aa, "%.2s", d->hex);
    snprintf(names.blob, sizeof names.blob, "%s", d->hex);
    snprintf(names.partial, sizeof names.partial, ".partial-%s", d->hex);
    return names;
}

/* --- opening and making ---------------------------------------------------------- */

typedef enum err opener(int dir, const char *name, int *ret_fd, struct error *error);

/* What is open already stays. */
static enum err open_below(opener *open_one, int dir, const char *name, int *fd,
                           struct error *error)
{
    return *fd >= 0 ? OK : open_one(dir, name, fd, error);
}

/* The directories below the root: dir_open() or dir_make() them. */
static enum err open_all(struct store *s, opener *open_one, struct error *error)
{
    CLEANUP(close_fd) int blobs = -1;
    enum err e = open_one(s->root_fd, "blobs", &blobs, error);
    if (e == OK)
        e = open_below(open_one, blobs, "sha256", &s->blobs_fd, error);
    if (e == OK || e == ERR_NOT_FOUND)
        e = open_below(open_one, s->root_fd, "manifests", &s->manifests_fd, error);
    if (e == OK || e == ERR_NOT_FOUND)
        e = open_below(open_one, s->root_fd, "locks", &s->locks_fd, error);
    return e;
}

static enum err open_root(struct store *s, struct error *error)
{
    int fd = open(s->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return fail(error, ERR_NOT_FOUND, "there is no model store at '%s'", s->root);
    if (fd < 0 && errno == ENOTDIR)
        return fail(error, ERR_CONFIG, "'%s' is not a directory", s->root);
    if (fd < 0)
        return fail_sys(error, "cannot open the model store at '%s'", s->root);
    s->root_fd = fd;
    return OK;
}

enum err store_open(struct store *s, const char *root, struct error *error)
{
    size_t len = strlen(root);
    if (len == 0 || len >= STORE_PATH_MAX - BELOW_ROOT_MAX)
        return fail(error, ERR_CONFIG, "the model store's path has %zu bytes; 1 to %d are allowed",
                    len, STORE_PATH_MAX - BELOW_ROOT_MAX - 1);
    *s = (struct store){
        .root_fd = -1, .blobs_fd = -1, .manifests_fd = -1, .locks_fd = -1, .gc_fd = -1
    };
    s->root = strdup(root);
    if (!s->root)
        return fail_nomem(error);
    enum err e = open_root(s, error);
    if (e == OK)
        e = open_all(s, dir_open, error);
    if (e == OK || e == ERR_NOT_FOUND)
        return no_error(error);
    store_done(s);
    return e;
}

enum err store_begin_write(struct store *s, struct error *error)
{
    if (s->gc_fd >= 0)
        return OK;
    enum err e = make_directories(s->root, error);
    if (e == OK && s->root_fd < 0)
        e = open_root(s, error);
    if (e == OK)
        e = open_all(s, dir_make, error);
    CLEANUP(close_fd) int fd = -1;
    if (e == OK)
        e = dir_open_file(s->locks_fd, GC_LOCK, O_RDWR | O_CREAT, &fd, NULL, error);
    if (e)
        return e;
    if (!lock_file(fd, LOCK_SH))
        return dir_fail(s->locks_fd, GC_LOCK, "cannot lock", error);
    s->gc_fd = TAKE_FD(fd);
    return OK;
}

void store_done(struct store *s)
{
    close_fd(&s->gc_fd);
    close_fd(&s->locks_fd);
    close_fd(&s->manifests_fd);
    close_fd(&s->blobs_fd);
    close_fd(&s->root_fd);
    free(s->root);
    s->root = NULL;
}

/* --- locks ------------------------------------------------------------------------ */

enum err store_lock_name(const struct store *s, const char *name, const char *doing, bool wait,
                         int *ret_fd, struct error *error)
{
    enum err e = model_name_check(name, strlen(name), error);
    if (e)
        return e;
    char file[MODEL_NAME_MAX + sizeof LOCK_SUFFIX];
    snprintf(file, sizeof file, "%s%s", name, LOCK_SUFFIX);
    CLEANUP(close_fd) int fd = -1;
    e = dir_open_file(s->locks_fd, file, O_RDWR | O_CREAT, &fd, NULL, error);
    if (e)
        return e;
    if (!lock_file(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB)) {
        if (errno == EWOULDBLOCK)
            return fail(error, ERR_BUSY, "model \"%s\" is being %s by another process", name,
                        doing);
        return dir_fail(s->locks_fd, file, "cannot lock", error);
    }
    *ret_fd = TAKE_FD(fd);
    return OK;
}

/* "gemma.lock" is the lock of "gemma". */
static bool name_of_lock(const char *file, char name[static MODEL_NAME_MAX + 1])
{
    size_t len = strlen(file), suffix = strlen(LOCK_SUFFIX);
    if (len <= suffix || len - suffix > MODEL_NAME_MAX ||
        strcmp(file + len - suffix, LOCK_SUFFIX) != 0)
        return false;
    memcpy(name, file, len - suffix);
    name[len - suffix] = '\0';
    return model_name_check(name, len - suffix, NULL) == OK;
}

static enum err lock_all_names(struct alone *a, const char *except, struct error *error)
{
    CLEANUP(names_done) struct names files = { 0 };
    enum err e = dir_names(a->store->locks_fd, &files, error);
    if (e)
        return e;
    a->names = calloc(files.n + 1, sizeof *a->names);
    if (!a->names)
        return fail_nomem(error);
    for (size_t i = 0; e == OK && i < files.n; i++) {
        char name[MODEL_NAME_MAX + 1];
        if (!name_of_lock(files.at[i], name) || (except && strcmp(name, except) == 0))
            continue;
        e = store_lock_name(a->store, name, "written", false, &a->names[a->n], error);
        if (e == OK)
            a->n++;
    }
    return e;
}

/* Without it nothing goes wrong that the hour of grace does not cover. */
static void share_again(const struct store *s)
{
    while (!lock_file(s->gc_fd, LOCK_SH) && errno == EINTR)
        ;
}

enum err alone_begin(struct alone *a, const struct store *s, const char *except,
                     struct error *error)
{
    if (!lock_file(s->gc_fd, LOCK_EX | LOCK_NB)) {
        enum err e = errno == EWOULDBLOCK
                         ? fail(error, ERR_BUSY,
                                "another process is writing to the model store at '%s'", s->root)
                         : dir_fail(s->locks_fd, GC_LOCK, "cannot lock", error);
        share_again(s); /* the kernel let go of it in order to try */
        return e;
    }
    *a = (struct alone){ .store = s };
    enum err e = lock_all_names(a, except, error);
    if (e)
        alone_end(a);
    return e;
}

void alone_end(struct alone *a)
{
    if (!a->store)
        return;
    for (size_t i = 0; i < a->n; i++)
        close_fd(&a->names[i]);
    free(a->names);
    share_again(a->store);
    *a = (struct alone){ 0 };
}

/* --- blobs ------------------------------------------------------------------------ */

static enum err open_blob_dir(const struct store *s, const struct digest *d, opener *open_one,
                              int *ret_aa, int *ret_blob, struct error *error)
{
    struct blob_names names = blob_names(d);
    CLEANUP(close_fd) int aa = -1;
    if (s->blobs_fd < 0)
        return fail(error, ERR_NOT_FOUND, "there is no model store at '%s'", s->root);
    enum err e = open_one(s->blobs_fd, names.aa, &aa, error);
    if (e == OK)
        e = open_one(aa, names.blob, ret_blob, error);
    if (e)
        return e;
    *ret_aa = TAKE_FD(aa);
    return OK;
}

enum err store_blob_open(const struct store *s, const struct digest *d, int *ret_fd,
                         uint64_t *ret_size, struct error *error)
{
    CLEANUP(close_fd) int aa = -1;
    CLEANUP(close_fd) int dir = -1;
    struct stat st;
    enum err e = open_blob_dir(s, d, dir_open, &aa, &dir, error);
    if (e == OK)
        e = dir_open_file(dir, "data", O_RDONLY, ret_fd, &st, error);
    if (e == ERR_NOT_FOUND)
        return fail(error, e, "sha256:%s is not in the model store at '%s'", d->hex, s->root);
    if (e == OK && ret_size)
        *ret_size = (uint64_t)st.st_size;
    return e;
}

enum err blob_place(const struct store *s, const struct digest *d, int from_dir, const char *from,
                    struct error *error)
{
    CLEANUP(close_fd) int aa = -1;
    CLEANUP(close_fd) int dir = -1;
    enum err e = open_blob_dir(s, d, dir_make, &aa, &dir, error);
    if (e)
        return e;
    if (renameat(from_dir, from, dir, "data") < 0)
        return dir_fail(dir, "data", "cannot put in place", error);
    e = dir_sync(dir, error);
    return e ? e : dir_sync(from_dir, error);
}

enum err store_blob_quarantine(const struct store *s, const struct digest *d, const char *reason,
                               char *ret_path, struct error *error)
{
    CLEANUP(close_fd) int aa = -1;
    CLEANUP(close_fd) int dir = -1;
    enum err e = open_blob_dir(s, d, dir_open, &aa, &dir, error);
    if (e == OK)
        e = quarantine(s, dir, "data", reason, ret_path, error);
    if (e == OK)
        e = dir_remove(aa, d->hex, error);
    return e;
}

/* --- quarantine --------------------------------------------------------------------- */

/* <time>-<reason>.bin, or with a number behind it if there was one in this second. */
static void quarantine_name(int dir, const char *reason, char *ret, size_t size)
{
    char time[32], clean[64];
    utc_now("%Y%m%dT%H%M%SZ", time, sizeof time);
    snprintf(clean, sizeof clean, "%s", reason);
    for (char *c = clean; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9')))
            *c = '-';
    snprintf(ret, size, "%s-%s.bin", time, clean);
    for (unsigned i = 2; dir_has(dir, ret); i++)
        snprintf(ret, size, "%s-%s-%u.bin", time, clean, i);
}

enum err quarantine(const struct store *s, int from_dir, const char *from, const char *reason,
                    char *ret_path, struct error *error)
{
    CLEANUP(close_fd) int dir = -1;
    enum err e = dir_make(s->locks_fd, "quarantine", &dir, error);
    if (e)
        return e;
    char name[128];
    quarantine_name(dir, reason, name, sizeof name);
    if (renameat(from_dir, from, dir, name) < 0)
        return dir_fail(from_dir, from, "cannot quarantine", error);
    snprintf(ret_path, STORE_PATH_MAX, "%s/locks/quarantine/%s", s->root, name);
    e = dir_sync(dir, error);
    return e ? e : dir_sync(from_dir, error);
}

/* --- room --------------------------------------------------------------------------- */

static uint64_t blocks(fsblkcnt_t n, unsigned long size)
{
    uint64_t bytes;
    return __builtin_mul_overflow((uint64_t)n, (uint64_t)size, &bytes) ? UINT64_MAX : bytes;
}

enum err store_room(const struct store *s, uint64_t *ret_free, uint64_t *ret_total,
                    struct error *error)
{
    struct statvfs fs;
    if (s->root_fd < 0)
        return fail(error, ERR_NOT_FOUND, "there is no model store at '%s'", s->root);
    if (fstatvfs(s->root_fd, &fs) < 0)
        return fail_sys(error, "cannot find out how much room there is in '%s'", s->root);
    *ret_free = blocks(fs.f_bavail, fs.f_frsize);
    *ret_total = blocks(fs.f_blocks, fs.f_frsize);
    return OK;
}

enum err store_check_room(const struct store *s, uint64_t bytes, struct error *error)
{
    uint64_t room = 0, total = 0, want;
    enum err e = store_room(s, &room, &total, error);
    if (e)
        return e;
    if (__builtin_add_overflow(bytes, bytes / 20, &want))
        want = UINT64_MAX;
    if (want <= room)
        return OK;
    return fail(error, ERR_NO_SPACE,
                "'%s' has room for %llu bytes; %llu are needed (5 %% to spare included), %llu "
                "are missing",
                s->root, (unsigned long long)room, (unsigned long long)want,
                (unsigned long long)(want - room));
}
