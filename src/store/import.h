/*
 * import.h - files that this machine already has become blobs.
 *
 * A file is brought to locks/.import-<name> by the cheapest way that is safe, what lies
 * there is hashed through the descriptor it was brought with, and only then does it get a
 * blob's name.  The source is never touched.
 *
 *   shared   its blocks are shared with the source until either is written to (reflink)
 *   linked   it is the source, under a second name; only if the source is ours and nobody
 *            else may write to it, because a writer would change the blob, too
 *   copied
 */
#pragma once

#include "store/store.h"

enum taken { TAKEN_SHARED, TAKEN_LINKED, TAKEN_COPIED };

/* "shared", "linked", "copied" */
const char *taken_name(enum taken how);

struct import_order {
    const char *file;
    const char *name;
    const char *expect_sha256;       /* 64 hex digits of either case; NULL: whatever it is */
    const char *produced_by;         /* "inferdctl/0.1.0" */
    bool link;                       /* rather link than copy, where that is safe */
    const struct progress *progress; /* of hashing; a copy is hashed twice, as it is written
                                        and as it lies there: 0..size both times */
};

struct import_result {
    struct digest digest;
    uint64_t size;
    enum taken how;
    bool was_there; /* the blob was in the store before, and was replaced by the same bytes */
};

/*
 * Make `order->file` the model `order->name`: blob first, manifest last.  Doing it again
 * changes nothing.  Calls store_begin_write() itself, after it refused what is wrong
 * with the order, so that a wrong one makes nothing.
 *
 * ERR_INVALID_REQUEST  the name, the digest, or `<path> is not a regular file`
 * ERR_NOT_FOUND        no such file
 * ERR_BUSY             `model "<name>" is being written by another process`
 * ERR_MISMATCH         `SHA-256 mismatch: expected E, file is A (nothing imported)` or
 *                      `copy verification failed: wrote E but store holds A`
 * ERR_NO_SPACE, ERR_SYSTEM, ERR_CONFIG (a planted link)
 */
enum err store_import(struct store *s, const struct import_order *order, struct import_result *ret,
                      struct error *error) MUST_USE;

/* --- from other tools' caches -------------------------------------------------- */

struct adopt_order {
    const char *name; /* whose lock the caller holds */
    const struct digest *digest;
    uint64_t size;           /* 0: not known; files of another size are not even read */
    const char *const *dirs; /* more directories to look in, ended by NULL; or NULL */
    const struct progress *progress;
};

struct adopt_result {
    char source[STORE_PATH_MAX];
    uint64_t size;  /* what need not be downloaded */
    enum taken how; /* unless TAKEN_COPIED, that is what the disk saves, too */
};

/*
 * Look for a file with this digest in the caches of tools that name their files by it
 * (Ollama, the Hugging Face hub), verify it and take it in as a blob; the manifest is the
 * caller's.  In each directory, first `order->dirs`, the names `sha256-<hex>`, `<hex>`,
 * the same in `blobs/`, and `<any>/blobs/<hex>` are tried; symbolic links are not
 * followed there.  Needs store_begin_write() and the name's lock.
 *
 * ERR_NOT_FOUND  nobody has it, or only with other bytes, or unreadable
 * ERR_NO_SPACE, ERR_SYSTEM, ERR_CONFIG: of the store; downloading will not do better
 */
enum err store_adopt(const struct store *s, const struct adopt_order *order,
                     struct adopt_result *ret, struct error *error) MUST_USE;
