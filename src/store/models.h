/*
 * models.h - what is in the store, by name: list, verify, remove.
 */
#pragma once

#include "store/manifest.h"

struct model {
    char name[MODEL_NAME_MAX + 1];
    struct error unreadable; /* code is OK unless the manifest can't be read; then it says
                                why and `manifest` is zeroed */
    struct manifest manifest;
    bool present;  /* its blob is there (of whatever size) */
    uint64_t size; /* of the blob; 0 if it is not there */
};

struct models {
    struct model *at; /* by name */
    size_t n;
};

/* `*ret` is to be ended with models_done() after OK. */
enum err models_list(const struct store *s, struct models *ret, struct error *error) MUST_USE;
void models_done(struct models *m);

enum verdict {
    VERDICT_RIGHT,
    VERDICT_MISSING, /* the blob is not there */
    VERDICT_WRONG,   /* it is, with other bytes */
};

struct verified {
    enum verdict verdict;
    struct digest found; /* of what is there; "" when VERDICT_MISSING */
    uint64_t size;       /* of what is there */
};

/* Hash the blob of a manifest.  An error is that it could not be done, not that the bytes
 * are wrong.  Removes nothing: see store_blob_quarantine(). */
enum err model_verify(const struct store *s, const struct manifest *m, const struct progress *p,
                      struct verified *ret, struct error *error) MUST_USE;

enum removed_blob {
    REMOVED_BLOB,        /* with the manifest */
    REMOVED_NO_BLOB,     /* there was none, or the manifest did not say which */
    REMOVED_BLOB_SHARED, /* kept: another manifest refers to it */
    REMOVED_BLOB_LATER,  /* kept for gc: another process writes to the store, or a manifest
                            can't be read and may refer to it */
};

struct removed {
    enum removed_blob blob;
    uint64_t bytes; /* that are free now */
};

/*
 * Remove a model.  A process that has its blob open keeps it.  Calls store_begin_write()
 * itself if there is such a model.
 *
 * ERR_NOT_FOUND  no model of that name
 * ERR_BUSY       `model "<name>" is being written by another process`
 */
enum err model_remove(struct store *s, const char *name, struct removed *ret,
                      struct error *error) MUST_USE;
