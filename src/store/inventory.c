/*
 * inventory.c - one walk over the store; gc is what it found, less what must stay.
 *
 * gc works while nobody writes: it holds .gc exclusively, which our own writers share,
 * and the lock of every name, for those of other programs that know no .gc.  One that
 * starts on a new name all the same meets the last rule: what is younger than an hour
 * stays.
 */
#include "store/inventory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "store/dir.h"
#include "store/manifest.h"

const char *item_kind_name(enum item_kind kind)
{
    static const char *const names[] = {
        [ITEM_BLOB] = "blob",       [ITEM_PARTIAL] = "partial", [ITEM_QUARANTINE] = "quarantine",
        [ITEM_STAGING] = "staging", [ITEM_DRAFT] = "draft",
    };
    return names[kind];
}

/* --- the list --------------------------------------------------------------------------- */

struct walk {
    const struct store *store;
    bool alone; /* all names are locked by us */
    struct references refs;
    struct inventory found;
    struct error *error;
};

static void item_done(struct item *item)
{
    free(item->path);
    item->path = NULL;
}

void inventory_done(struct inventory *i)
{
    for (size_t k = 0; k < i->n; k++)
        item_done(&i->at[k]);
    free(i->at);
    *i = (struct inventory){ 0 };
}

uint64_t inventory_bytes(const struct inventory *i, enum item_kind kind, size_t *ret_n)
{
    uint64_t bytes = 0;
    *ret_n = 0;
    for (size_t k = 0; k < i->n; k++) {
        if (i->at[k].kind != kind)
            continue;
        bytes += i->at[k].bytes;
        ++*ret_n;
    }
    return bytes;
}

/* Add `item` under the path "<where>/<name>". */
static enum err add(struct walk *w, struct item item, const char *where, const char *name)
{
    struct inventory *i = &w->found;
    if ((i->n & (i->n - 1)) == 0) { /* doubling at every power of two */
        struct item *at = reallocarray(i->at, i->n ? i->n * 2 : 1, sizeof *at);
        if (!at)
            return fail_nomem(w->error);
        i->at = at;
    }
    if (asprintf(&item.path, "%s/%s", where, name) < 0)
        return fail_nomem(w->error);
    i->at[i->n++] = item;
    return OK;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Moving a file changes its ctime, writing to it both. */
static int64_t touched(const struct stat *st)
{
    return later((int64_t)st->st_mtim.tv_sec, (int64_t)st->st_ctim.tv_sec);
}

/* False if it is gone. */
static bool measure(int dir, const char *name, struct item *item)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    item->touched = later(item->touched, touched(&st));
    if (!S_ISDIR(st.st_mode))
        item->bytes += (uint64_t)st.st_size;
    return true;
}

/* Does a process hold the lock of this file? */
static bool is_locked(int dir, const char *name)
{
    CLEANUP(close_fd) int fd = -1;
    return dir_open_file(dir, name, O_RDONLY, &fd, NULL, NULL) == OK &&
           flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

/* Does another process work on a name? */
static bool is_name_busy(const struct walk *w, const char *name, size_t len)
{
    if (w->alone)
        return false;
    char file[NAME_MAX + sizeof ".lock"];
    snprintf(file, sizeof file, "%.*s.lock", (int)len, name);
    return is_locked(w->store->locks_fd, file);
}

/* --- the walk: blobs and partials ----------------------------------------------------------- */

static bool has_blob(const struct store *s, const struct digest *d)
{
    CLEANUP(close_fd) int fd = -1;
    return store_blob_open(s, d, &fd, NULL, NULL) == OK;
}

/* What the files in a blob's or partial's directory come to. */
static enum err measure_all(struct walk *w, int parent, const char *name, struct item *item)
{
    CLEANUP(close_fd) int dir = -1;
    CLEANUP(names_done) struct names files = { 0 };
    enum err e = dir_open(parent, name, &dir, w->error);
    if (e == OK)
        e = dir_names(dir, &files, w->error);
    if (e)
        return e;
    measure(parent, name, item);
    for (size_t i = 0; i < files.n; i++)
        measure(dir, files.at[i], item);
    /* Who made a blob may still have it locked. */
    item->busy = is_locked(dir, "data.tmp") || is_locked(dir, "data");
    return OK;
}

static enum err walk_blob(struct walk *w, int aa, const char *where, const char *name)
{
    struct item item = { .kind = ITEM_BLOB };
    const char *hex = name;
    if (strncmp(name, ".partial-", strlen(".partial-")) == 0) {
        item.kind = ITEM_PARTIAL;
        hex += strlen(".partial-");
    }
    if (digest_read(hex, strlen(hex), &item.digest, NULL) != OK ||
        strncmp(hex, where + strlen(where) - 2, 2) != 0)
        return OK; /* not ours */
    enum err e = measure_all(w, aa, name, &item);
    if (e)
        return e == ERR_NOT_FOUND ? no_error(w->error) : e;
    item.needed = references_have(&w->refs, &item.digest) &&
                  (item.kind == ITEM_BLOB || !has_blob(w->store, &item.digest));
    return add(w, item, where, name);
}

static enum err walk_aa(struct walk *w, const char *aa)
{
    CLEANUP(close_fd) int dir = -1;
    CLEANUP(names_done) struct names names = { 0 };
    char where[sizeof "blobs/sha256/aa"];
    snprintf(where, sizeof where, "blobs/sha256/%.2s", aa);
    enum err e = dir_open(w->store->blobs_fd, aa, &dir, w->error);
    if (e)
        return e == ERR_NOT_FOUND ? no_error(w->error) : e;
    e = dir_names(dir, &names, w->error);
    for (size_t i = 0; e == OK && i < names.n; i++)
        e = walk_blob(w, dir, where, names.at[i]);
    return e;
}

static enum err walk_blobs(struct walk *w)
{
    CLEANUP(names_done) struct names names = { 0 };
    if (w->store->blobs_fd < 0)
        return OK;
    enum err e = dir_names(w->store->blobs_fd, &names, w->error);
    for (size_t i = 0; e == OK && i < names.n; i++)
        if (strlen(names.at[i]) == 2 && strspn(names.at[i], "0123456789abcdef") == 2)
            e = walk_aa(w, names.at[i]);
    return e;
}

/* --- the walk: files ------------------------------------------------------------------------ */

static enum err add_file(struct walk *w, enum item_kind kind, int dir, const char *where,
                         const char *name, bool busy)
{
    struct item item = { .kind = kind, .busy = busy };
    return measure(dir, name, &item) ? add(w, item, where, name) : OK;
}

static enum err walk_quarantine(struct walk *w)
{
    CLEANUP(close_fd) int dir = -1;
    CLEANUP(names_done) struct names names = { 0 };
    enum err e = dir_open(w->store->locks_fd, "quarantine", &dir, w->error);
    if (e)
        return e == ERR_NOT_FOUND ? no_error(w->error) : e;
    e = dir_names(dir, &names, w->error);
    for (size_t i = 0; e == OK && i < names.n; i++)
        e = add_file(w, ITEM_QUARANTINE, dir, "locks/quarantine", names.at[i], false);
    return e;
}

static enum err walk_locks(struct walk *w)
{
    CLEANUP(names_done) struct names names = { 0 };
    static const char prefix[] = ".import-";
    const struct store *s = w->store;
    if (s->locks_fd < 0)
        return OK;
    enum err e = dir_names(s->locks_fd, &names, w->error);
    for (size_t i = 0; e == OK && i < names.n; i++) {
        if (strncmp(names.at[i], prefix, strlen(prefix)) != 0)
            continue;
        const char *model = names.at[i] + strlen(prefix);
        e = add_file(w, ITEM_STAGING, s->locks_fd, "locks", names.at[i],
                     is_name_busy(w, model, strlen(model)));
    }
    return e ? e : walk_quarantine(w);
}

static enum err walk_manifests(struct walk *w)
{
    CLEANUP(names_done) struct names names = { 0 };
    const struct store *s = w->store;
    if (s->manifests_fd < 0)
        return OK;
    enum err e = dir_names(s->manifests_fd, &names, w->error);
    for (size_t i = 0; e == OK && i < names.n; i++) {
        const char *name = names.at[i];
        if (manifest_draft_of(name))
            e = add_file(w, ITEM_DRAFT, s->manifests_fd, "manifests", name,
                         is_name_busy(w, name, strlen(name) - strlen(".json.tmp")));
    }
    return e;
}

static void walk_done(struct walk *w)
{
    references_done(&w->refs);
    inventory_done(&w->found);
}

static enum err take(const struct store *s, bool alone, struct inventory *ret, struct error *error)
{
    CLEANUP(walk_done) struct walk w = { .store = s, .alone = alone, .error = error };
    enum err e = references_read(s, &w.refs, error);
    if (e == OK)
        e = walk_blobs(&w);
    if (e == OK)
        e = walk_locks(&w);
    if (e == OK)
        e = walk_manifests(&w);
    if (e)
        return e;
    *ret = w.found;
    w.found = (struct inventory){ 0 };
    return OK;
}

enum err inventory_take(const struct store *s, struct inventory *ret, struct error *error)
{
    return take(s, false, ret, error);
}

/* --- gc --------------------------------------------------------------------------------------- */

static bool is_garbage(const struct item *item, int64_t now)
{
    return !item->needed && !item->busy && item->touched <= now - GARBAGE_AGE_SECS;
}

static enum err find_garbage(const struct store *s, int64_t now, bool alone, struct inventory *ret,
                             struct error *error)
{
    struct inventory all;
    enum err e = take(s, alone, &all, error);
    if (e)
        return e;
    size_t kept = 0;
    for (size_t i = 0; i < all.n; i++) {
        if (is_garbage(&all.at[i], now))
            all.at[kept++] = all.at[i];
        else
            item_done(&all.at[i]);
    }
    all.n = kept;
    *ret = all;
    return OK;
}

enum err gc_plan(const struct store *s, int64_t now, struct inventory *ret, struct error *error)
{
    return find_garbage(s, now, false, ret, error);
}

static enum err remove_blob_dir(const struct store *s, const struct item *item, struct error *error)
{
    CLEANUP(close_fd) int aa = -1;
    struct blob_names names = blob_names(&item->digest);
    enum err e = dir_open(s->blobs_fd, names.aa, &aa, error);
    if (e)
        return e;
    return dir_remove(aa, item->kind == ITEM_BLOB ? names.blob : names.partial, error);
}

static enum err remove_file(const struct store *s, const struct item *item, struct error *error)
{
    const char *name = strrchr(item->path, '/') + 1;
    if (item->kind == ITEM_DRAFT)
        return dir_unlink(s->manifests_fd, name, error);
    if (item->kind == ITEM_STAGING)
        return dir_unlink(s->locks_fd, name, error);
    CLEANUP(close_fd) int dir = -1;
    enum err e = dir_open(s->locks_fd, "quarantine", &dir, error);
    return e ? e : dir_unlink(dir, name, error);
}

static enum err remove_item(const struct store *s, const struct item *item, struct error *error)
{
    if (item->kind == ITEM_BLOB || item->kind == ITEM_PARTIAL)
        return remove_blob_dir(s, item, error);
    return remove_file(s, item, error);
}

static enum err collect(struct store *s, int64_t now, struct inventory *garbage,
                        struct error *error)
{
    CLEANUP(alone_end) struct alone alone = { 0 };
    enum err e = store_begin_write(s, error);
    if (e == OK)
        e = alone_begin(&alone, s, NULL, error);
    if (e == OK)
        e = find_garbage(s, now, true, garbage, error);
    for (size_t i = 0; e == OK && i < garbage->n; i++)
        e = remove_item(s, &garbage->at[i], error);
    return e;
}

enum err gc_run(struct store *s, int64_t now, struct inventory *ret, struct error *error)
{
    CLEANUP(inventory_done) struct inventory garbage = { 0 };
    enum err e = s->root_fd < 0 ? OK : collect(s, now, &garbage, error);
    if (e)
        return e;
    *ret = garbage;
    garbage = (struct inventory){ 0 };
    return OK;
}
