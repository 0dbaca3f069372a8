/*
 * inventory.h - what lies in the store, piece by piece: what takes room (df), and what
 * nobody needs (gc).
 */
#pragma once

#include "store/store.h"

enum item_kind {
    ITEM_BLOB,
    ITEM_PARTIAL,    /* data.tmp and its journal */
    ITEM_QUARANTINE, /* bytes that were wrong */
    ITEM_STAGING,    /* locks/.import-<name> */
    ITEM_DRAFT,      /* manifests/<name>.json.tmp */
};

/* "blob", "partial", "quarantine", "staging", "draft" */
const char *item_kind_name(enum item_kind kind);

struct item {
    enum item_kind kind;
    struct digest digest; /* of blobs and partials; "" for others */
    char *path; /* relative to the root: the file, or the directory that goes with it; owned */
    uint64_t bytes;
    int64_t touched; /* when it was last changed or moved; seconds since 1970 */
    bool needed;     /* a manifest refers to it: to the blob, or to the blob that a partial
                        is to become */
    bool busy;       /* a process holds its lock */
};

struct inventory {
    struct item *at; /* blobs and partials by path, then the rest */
    size_t n;
};

/*
 * Everything there is.  ERR_PROTOCOL when a manifest can't be read: what it refers to is
 * not known then.  `*ret` is to be ended with inventory_done() after OK.
 */
enum err inventory_take(const struct store *s, struct inventory *ret, struct error *error) MUST_USE;
void inventory_done(struct inventory *i);

/* The bytes of a kind, and how many pieces. */
uint64_t inventory_bytes(const struct inventory *i, enum item_kind kind, size_t *ret_n);

/* Younger than this is never garbage: somebody who takes no lock of ours may be about to
 * refer to it. */
enum { GARBAGE_AGE_SECS = 60 * 60 };

/*
 * What gc_run() would remove if it ran now: what is neither needed nor busy nor young.
 * Touches nothing.  `now` is time(NULL).
 */
enum err gc_plan(const struct store *s, int64_t now, struct inventory *ret,
                 struct error *error) MUST_USE;

/*
 * Remove it; `*ret` is what was removed.  Calls store_begin_write() itself, unless there
 * is no store at all.
 *
 * ERR_BUSY      another process writes to the store, or works on a name; nothing was removed
 * ERR_PROTOCOL  a manifest can't be read; nothing was removed
 * ERR_SYSTEM    something can't be removed; what came before it is
 */
enum err gc_run(struct store *s, int64_t now, struct inventory *ret, struct error *error) MUST_USE;
