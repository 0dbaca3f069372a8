/*
 * file.h - descriptors and small files.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

/* Read all of a regular file; more than `max` bytes is ERR_FRAME_TOO_LARGE, with a
 * sentence that names both.  The bytes are the caller's and end with a NUL that
 * `*ret_len` does not count. */
enum err file_read(const char *path, size_t max, char **ret_bytes, size_t *ret_len,
                   struct error *error) MUST_USE;

/* The first `size` - 1 bytes of a file that does not know its length, as those in /proc,
 * with a NUL behind them.  False if it can't be read. */
bool file_peek(const char *path, char *ret, size_t size) MUST_USE;

/* Write it all to a blocking descriptor, whatever signals and short writes do.
 * False with errno. */
bool write_all(int fd, const void *bytes, size_t n) MUST_USE;

/* Directory `path` and what is missing above it, each 0700 when it is made here. */
enum err make_directories(const char *path, struct error *error) MUST_USE;

/* The directory of the running program's executable ("/usr/bin"), by
 * /proc/self/exe. */
enum err program_directory(char *ret, size_t size, struct error *error) MUST_USE;
