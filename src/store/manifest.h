/*
 * manifest.h - which blob a name means, and where that came from.
 *
 * manifests/<name>.json, pretty-printed, as the reference writes it:
 *
 *     {
 *       "schema_version": 1,
 *       "name": "gemma-4-e4b",
 *       "format": "gguf",
 *       "blob": "sha256:<64 hex>",
 *       "size_bytes": 5126304928,
 *       "license": "gemma",                    // or null; the only one that may be absent
 *       "source": { "registry": "huggingface.co", "repo": "", "revision": "",
 *                   "filename": "gemma-4-E4B-it-UD-Q4_K_XL.gguf" },
 *       "produced_by": "inferd/0.1.0",
 *       "produced_at": "2026-11-23T20:15:00Z"
 *     }
 *
 * Fields that we don't know are passed over.  The file's name is the model's, whatever
 * the text inside says.
 */
#pragma once

#include "base/json.h"
#include "store/name.h"
#include "store/store.h"

/* Strings are borrowed: those of a manifest that was read from its `tree`, those of one
 * to be written from whoever filled it in. */
struct manifest {
    char name[MODEL_NAME_MAX + 1];
    struct digest blob;
    uint64_t size_bytes;
    const char *format;                                /* NULL is written as "gguf" */
    const char *license;                               /* NULL: none given */
    const char *registry, *repo, *revision, *filename; /* NULL is written as "" */
    const char *produced_by;                           /* "inferd/0.1.0" */
    const char *produced_at;                           /* NULL is written as now */
    json_t *tree;                                      /* owned; NULL unless it was read */
};

/*
 * ERR_NOT_FOUND        there is none of that name
 * ERR_PROTOCOL         `malformed manifest at <path>: ...`
 * ERR_INVALID_REQUEST  the name is no name
 * ERR_CONFIG           a symbolic link or no regular file is in its place
 *
 * After OK, `*ret` is to be ended with manifest_done(); after failure it need not.
 */
enum err manifest_read(const struct store *s, const char *name, struct manifest *ret,
                       struct error *error) MUST_USE;
void manifest_done(struct manifest *m);

/* Write `m` under m->name, atomically, over one that is there.  Needs store_begin_write()
 * and the name's lock; comes last, after the blob. */
enum err manifest_write(const struct store *s, const struct manifest *m,
                        struct error *error) MUST_USE;

/* --- between the files of this folder --------------------------------------- */

/* "gemma.json" is the manifest of "gemma"; false if the file is no manifest. */
bool manifest_name_of(const char *file, char name[static MODEL_NAME_MAX + 1]);
/* Is it one in the making? */
bool manifest_draft_of(const char *file);

/* One that is not there is fine. */
enum err manifest_remove(const struct store *s, const char *name, struct error *error) MUST_USE;

/* What manifests refer to.  Fails like manifest_read() when one can't be read.  Ended with
 * references_done(). */
struct references {
    struct digest *at;
    size_t n;
};

enum err references_read(const struct store *s, struct references *ret,
                         struct error *error) MUST_USE;
bool references_have(const struct references *r, const struct digest *d);
void references_done(struct references *r);
