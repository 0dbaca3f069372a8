/*
 * digest.h - the SHA-256 of an open file.
 */
#pragma once

#include "proto/engine.h"

/*
 * Hash all of `fd` from its beginning, whatever its offset, which stays as it is;
 * `ret` (SHA256_HEX + 1 bytes) gets lower-case hex.  `alive` is called about once a
 * second meanwhile; a failure of it ends the work.
 *
 * ERR_SYSTEM  `fd` can't be read
 */
enum err digest_file(int fd, char *ret, enum err (*alive)(void *ctx, struct error *error),
                     void *ctx, struct error *error) MUST_USE;
