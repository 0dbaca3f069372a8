/*
 * buf.h - bytes that grow, up to a ceiling given at birth.
 *
 *     struct buf b;
 *     buf_init(&b, MAX);
 *     e = buf_append(&b, bytes, n);
 *     ...
 *     buf_done(&b);
 *
 * Growth doubles, so appending is linear in all; the ceiling is never passed.
 */
#pragma once

#include <stdarg.h>

#include "base/error.h"

struct buf {
    char *at; /* NULL while nothing was ever added */
    size_t len;
    size_t cap;
    size_t max;
};

/* Allocates nothing. */
static inline void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){ .max = max };
}

/* Free the bytes; usable again, empty, with the same ceiling. */
void buf_done(struct buf *b);

/* Forget the bytes, keep the memory. */
static inline void buf_clear(struct buf *b)
{
    b->len = 0;
}

/*
 * Room for `n` more bytes at `at + len`; the caller writes there and adds to
 * `len` itself.
 *
 * ERR_FRAME_TOO_LARGE  it would pass the ceiling; the buffer is as before
 * ERR_NO_MEMORY        likewise
 */
enum err buf_reserve(struct buf *b, size_t n) MUST_USE;

enum err buf_append(struct buf *b, const void *bytes, size_t n) MUST_USE;
enum err buf_append_str(struct buf *b, const char *s) MUST_USE;
/* The terminator needs room while it is written, so one byte of the ceiling is lost. */
enum err buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3) MUST_USE;

/* Drop the first `n` bytes (at most `len`) and slide the rest to the front. */
void buf_consume(struct buf *b, size_t n);

/* The bytes become the caller's (free() them); the buffer is empty. */
char *buf_steal(struct buf *b, size_t *ret_len);
