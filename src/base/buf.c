/*
 * buf.c - see buf.h.
 */
#include "base/buf.h"

#include <stdio.h>
#include <string.h>

enum { FIRST_CAPACITY = 256 };

void buf_done(struct buf *b)
{
    free(b->at);
    buf_init(b, b->max);
}

enum err buf_reserve(struct buf *b, size_t n)
{
    if (n > b->max - b->len)
        return ERR_FRAME_TOO_LARGE;
    size_t want = b->len + n;
    if (want <= b->cap)
        return OK;

    size_t cap = b->cap ? b->cap : FIRST_CAPACITY;
    while (cap < want)
        cap = cap > b->max / 2 ? b->max : cap * 2;
    if (cap > b->max)
        cap = b->max;
    char *at = realloc(b->at, cap);
    if (!at)
        return ERR_NO_MEMORY;
    b->at = at;
    b->cap = cap;
    return OK;
}

enum err buf_append(struct buf *b, const void *bytes, size_t n)
{
    enum err e = buf_reserve(b, n);
    if (e || n == 0)
        return e;
    memcpy(b->at + b->len, bytes, n);
    b->len += n;
    return OK;
}

enum err buf_append_str(struct buf *b, const char *s)
{
    return buf_append(b, s, strlen(s));
}

enum err buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    size_t room = b->cap - b->len;
    int n = vsnprintf(room ? b->at + b->len : NULL, room, fmt, args);
    va_end(args);
    if (n < 0)
        return ERR_INTERNAL;
    if ((size_t)n >= room) {
        enum err e = buf_reserve(b, (size_t)n + 1); /* the terminator needs room, too */
        if (e)
            return e;
        va_start(args, fmt);
        vsnprintf(b->at + b->len, (size_t)n + 1, fmt, args);
        va_end(args);
    }
    b->len += (size_t)n;
    return OK;
}

void buf_consume(struct buf *b, size_t n)
{
    if (n == 0)
        return;
    b->len -= n;
    if (b->len > 0)
        memmove(b->at, b->at + n, b->len);
}

char *buf_steal(struct buf *b, size_t *ret_len)
{
    char *at = b->at;
    *ret_len = b->len;
    buf_init(b, b->max);
    return at;
}
