/*
 * stop.c - what may still become a string (match.h) is what must be held back.
 *
 * A string begins with a whole character, so what stands before it are whole ones.
 */
#include "stop.h"

#include <string.h>

#include "match.h"

struct stop {
    struct match *strings; /* owned */
    size_t n_held;
    char held[STOP_BYTES_MAX]; /* the end of the text, not told yet */
};

enum err stop_new(const struct slice *strings, size_t n, struct stop **ret)
{
    *ret = NULL;
    if (n == 0)
        return OK;
    struct stop *stop = calloc(1, sizeof *stop);
    if (!stop)
        return ERR_NO_MEMORY;
    enum err e = match_new(strings, n, &stop->strings);
    if (e) {
        free(stop);
        return e;
    }
    *ret = stop;
    return OK;
}

void stop_free(struct stop *stop)
{
    if (!stop)
        return;
    match_free(stop->strings);
    free(stop);
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
        size_t came = match_feed(stop->strings, text->at[at]);
        if (came) {
            text->len = at + 1 - came;
            *ret_came = true;
            return OK;
        }
    }
    stop->n_held = match_pending(stop->strings);
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
