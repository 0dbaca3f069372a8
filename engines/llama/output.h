/*
 * output.h - the bytes of tokens, as whole characters.
 *
 * A token may end inside a character, and a model may write bytes that are none.
 * What could still become a character is held back until it does; what can't, and
 * NUL, which no wire carries, becomes U+FFFD.  What is still held back when the
 * answer ends never was a character, and is dropped.
 */
#pragma once

#include "base/buf.h"
#include "base/utf8.h"

struct output {
    struct utf8 state;
    char pending[4];
    uint8_t n_pending;
};

static inline void output_init(struct output *o)
{
    *o = (struct output){ .n_pending = 0 };
}

/* Append to `out` what has become whole.  ERR_NO_MEMORY, or the buffer's ceiling. */
enum err output_add(struct output *o, const char *bytes, size_t n, struct buf *out) MUST_USE;
