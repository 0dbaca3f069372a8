/*
 * digest.h - the SHA-256 that names bytes.
 *
 * A `struct digest` is made by digest_read() or by hashing and by nothing else, so one
 * that exists is 64 lower-case hex digits and can become part of a path.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

enum { DIGEST_HEX = 64 };

struct digest {
    char hex[DIGEST_HEX + 1];
};

/* Exactly 64 lower-case hex digits; `text` need not be terminated and may hold anything.
 * ERR_INVALID_REQUEST says what is wrong. */
enum err digest_read(const char *text, size_t len, struct digest *ret,
                     struct error *error) MUST_USE;

/* In constant time. */
bool digest_equal(const struct digest *a, const struct digest *b);

/*
 * Who wants to know how far long work has come.  `tell` is called at the start, after
 * about every MiB, and at the end; anything but OK ends the work with that error.  A NULL
 * `struct progress *` is nobody.
 */
struct progress {
    enum err (*tell)(void *ctx, uint64_t done, uint64_t total, struct error *error);
    void *ctx;
};

enum err progress_tell(const struct progress *p, uint64_t done, uint64_t total,
                       struct error *error) MUST_USE;

/*
 * Bytes in, digest out.
 *
 *     CLEANUP(hasher_done) struct hasher h = { 0 };
 *     e = hasher_init(&h, error);
 *     e = hasher_add(&h, bytes, n, error);
 *     e = hasher_end(&h, &digest, error);
 *
 * ERR_NO_MEMORY, or ERR_INTERNAL when libcrypto will not work.
 */
struct hasher {
    struct evp_md_ctx_st *ctx; /* owned */
    uint64_t bytes;            /* that were added */
};

enum err hasher_init(struct hasher *h, struct error *error) MUST_USE;
enum err hasher_add(struct hasher *h, const void *bytes, size_t n, struct error *error) MUST_USE;
/* Nothing can be added afterwards. */
enum err hasher_end(struct hasher *h, struct digest *ret, struct error *error) MUST_USE;
/* A zeroed hasher is fine. */
void hasher_done(struct hasher *h);

/*
 * Hash all of a regular file from its beginning, whatever its offset, which stays as it is.
 * `path` names it in errors; `ret_size` may be NULL.
 *
 * ERR_SYSTEM  it can't be read
 */
enum err digest_file(int fd, const char *path, const struct progress *p, struct digest *ret,
                     uint64_t *ret_size, struct error *error) MUST_USE;
