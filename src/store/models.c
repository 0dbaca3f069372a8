/*
 * models.c - see models.h.
 */
#include "store/models.h"

#include <stdio.h>
#include <string.h>

#include "store/dir.h"

/* --- list --------------------------------------------------------------------------- */

/* False: it went away meanwhile. */
static bool look_at(const struct store *s, const char *name, struct model *ret)
{
    *ret = (struct model){ 0 };
    snprintf(ret->name, sizeof ret->name, "%s", name);
    enum err e = manifest_read(s, name, &ret->manifest, &ret->unreadable);
    if (e)
        return e != ERR_NOT_FOUND;
    CLEANUP(close_fd) int fd = -1;
    ret->present = store_blob_open(s, &ret->manifest.blob, &fd, &ret->size, NULL) == OK;
    return true;
}

static int by_name(const void *a, const void *b)
{
    const struct model *x = a, *y = b;
    return strcmp(x->name, y->name);
}

enum err models_list(const struct store *s, struct models *ret, struct error *error)
{
    CLEANUP(names_done) struct names files = { 0 };
    enum err e = s->manifests_fd < 0 ? OK : dir_names(s->manifests_fd, &files, error);
    if (e)
        return e;
    struct models models = { .at = calloc(files.n + 1, sizeof *models.at) };
    if (!models.at)
        return fail_nomem(error);
    for (size_t i = 0; i < files.n; i++) {
        char name[MODEL_NAME_MAX + 1];
        if (manifest_name_of(files.at[i], name) && look_at(s, name, &models.at[models.n]))
            models.n++;
    }
    /* The files came sorted, too, but "a-b.json" stands before "a.json". */
    qsort(models.at, models.n, sizeof *models.at, by_name);
    *ret = models;
    return OK;
}

void models_done(struct models *m)
{
    for (size_t i = 0; i < m->n; i++)
        manifest_done(&m->at[i].manifest);
    free(m->at);
    *m = (struct models){ 0 };
}

/* --- verify ------------------------------------------------------------------------- */

enum err model_verify(const struct store *s, const struct manifest *m, const struct progress *p,
                      struct verified *ret, struct error *error)
{
    CLEANUP(close_fd) int fd = -1;
    struct verified found = { 0 };
    enum err e = store_blob_open(s, &m->blob, &fd, NULL, error);
    if (e == ERR_NOT_FOUND) {
        *ret = (struct verified){ .verdict = VERDICT_MISSING };
        return no_error(error);
    }
    char path[STORE_PATH_MAX];
    store_blob_path(s, &m->blob, path);
    if (e == OK)
        e = digest_file(fd, path, p, &found.found, &found.size, error);
    if (e)
        return e;
    found.verdict = digest_equal(&found.found, &m->blob) ? VERDICT_RIGHT : VERDICT_WRONG;
    *ret = found;
    return OK;
}

/* --- remove ------------------------------------------------------------------------- */

/* Remove a blob that its last manifest left behind, unless somebody could be about to
 * refer to it. */
static enum err remove_blob(const struct store *s, const char *name, const struct digest *d,
                            struct removed *removed, struct error *error)
{
    CLEANUP(alone_end) struct alone alone = { 0 };
    CLEANUP(references_done) struct references refs = { 0 };
    CLEANUP(close_fd) int fd = -1;
    CLEANUP(close_fd) int aa = -1;
    removed->blob = REMOVED_BLOB_LATER;
    if (alone_begin(&alone, s, name, NULL) != OK || references_read(s, &refs, NULL) != OK)
        return OK;
    removed->blob = REMOVED_BLOB_SHARED;
    if (references_have(&refs, d))
        return OK;
    removed->blob = REMOVED_NO_BLOB;
    if (store_blob_open(s, d, &fd, &removed->bytes, NULL) != OK)
        return OK;
    removed->blob = REMOVED_BLOB;
    enum err e = dir_open(s->blobs_fd, blob_names(d).aa, &aa, error);
    return e ? e : dir_remove(aa, blob_names(d).blob, error);
}

/* Which blob the model means; false if its manifest can't say. */
static enum err find_blob(const struct store *s, const char *name, struct digest *ret,
                          bool *ret_known, struct error *error)
{
    struct manifest m;
    enum err e = manifest_read(s, name, &m, error);
    *ret_known = e == OK;
    if (e == ERR_PROTOCOL)
        return no_error(error);
    if (e == OK) {
        *ret = m.blob;
        manifest_done(&m);
    }
    return e;
}

enum err model_remove(struct store *s, const char *name, struct removed *ret, struct error *error)
{
    CLEANUP(close_fd) int lock = -1;
    struct digest blob;
    bool known;
    struct removed removed = { .blob = REMOVED_NO_BLOB };
    enum err e = find_blob(s, name, &blob, &known, error);
    if (e == OK)
        e = store_begin_write(s, error);
    if (e == OK)
        e = store_lock_name(s, name, "written", false, &lock, error);
    if (e == OK) /* again, under the lock */
        e = find_blob(s, name, &blob, &known, error);
    if (e == OK)
        e = manifest_remove(s, name, error);
    if (e == OK && known)
        e = remove_blob(s, name, &blob, &removed, error);
    if (e == OK)
        *ret = removed;
    return e;
}
