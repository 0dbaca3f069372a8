/*
 * stop.c - Knuth, Morris and Pratt, for a few strings side by side.
 *
 * For each string: how many of its first bytes the text ends with.  The most of these is
 * what must be held back, and no more; so no byte is looked at twice, whatever the
 * strings.  A string begins with a whole character, so what stands before it are whole
 * ones.
 */
#include "stop.h"

#include <string.h>

struct string {
    size_t len;
    size_t matched; /* of its bytes, the text ends with this many; less than len */
    char bytes[STOP_BYTES_MAX];
    uint8_t shorter[STOP_BYTES_MAX]; /* [i]: the longest beginning that bytes[..i] ends with */
};

struct stop {
    size_t n_strings;
    size_t n_held;
    char held[STOP_BYTES_MAX]; /* the end of the text, not told yet */
    struct string strings[];
};

/* The text ended with `matched` bytes of `s` and goes on with `byte`: with how many now? */
static size_t advance(const struct string *s, size_t matched, char byte)
{
    while (matched > 0 && s->bytes[matched] != byte)
        matched = s->shorter[matched - 1];
    return matched + (s->bytes[matched] == byte);
}

static void string_init(struct string *s, struct slice text)
{
    s->len = text.len;
    memcpy(s->bytes, text.at, text.len);
    for (size_t i = 1; i < s->len; i++)
        s->shorter[i] = (uint8_t)advance(s, s->shorter[i - 1], s->bytes[i]);
}

enum err stop_new(const struct slice *strings, size_t n, struct stop **ret)
{
    *ret = NULL;
    if (n == 0)
        return OK;
    struct stop *stop = calloc(1, sizeof *stop + n * sizeof stop->strings[0]);
    if (!stop)
        return ERR_NO_MEMORY;
    stop->n_strings = n;
    for (size_t i = 0; i < n; i++)
        string_init(&stop->strings[i], strings[i]);
    *ret = stop;
    return OK;
}

void stop_free(struct stop *stop)
{
    free(stop);
}

/* One byte more: the length of the longest string that it completes, or 0. */
static size_t feed(struct stop *stop, char byte)
{
    size_t came = 0;
    for (size_t i = 0; i < stop->n_strings; i++) {
        struct string *s = &stop->strings[i];
        s->matched = advance(s, s->matched, byte);
        if (s->matched == s->len)
            came = s->len > came ? s->len : came;
    }
    return came;
}

/* How much of the end of the text may still become a string. */
static size_t pending(const struct stop *stop)
{
    size_t most = 0;
    for (size_t i = 0; i < stop->n_strings; i++)
        if (stop->strings[i].matched > most)
            most = stop->strings[i].matched;
    return most;
}

/* Put what was held back in front of `text`. */
static enum err unhold(struct stop *stop, struct buf *text)
{
    enum err e = buf_reserve(text, stop->n_held);
    if (e || stop->n_held == 0)
        return e;
    memmove(text->at + stop->n_held, text->at, text->len);
    memcpy(text->at, stop->held, stop->n_held);
    text->len += stop->n_held;
    stop->n_held = 0;
    return OK;
}

enum err stop_filter(struct stop *stop, struct buf *text, bool *ret_came)
{
    *ret_came = false;
    if (!stop || text->len == 0)
        return OK;
    size_t at = stop->n_held;
    enum err e = unhold(stop, text);
    if (e)
        return e;
    for (; at < text->len; at++) {
        size_t came = feed(stop, text->at[at]);
        if (came) {
            text->len = at + 1 - came;
            *ret_came = true;
            return OK;
        }
    }
    stop->n_held = pending(stop);
    text->len -= stop->n_held;
    memcpy(stop->held, text->at + text->len, stop->n_held);
    return OK;
}

enum err stop_rest(struct stop *stop, struct buf *text)
{
    if (!stop)
        return OK;
    enum err e = buf_append(text, stop->held, stop->n_held);
    stop->n_held = 0;
    return e;
}
