/*
 * decode.h - from a client's line to an order that an engine understands.
 *
 * Touches nothing but its arguments, so it runs on the loop for small lines and on
 * libuv's pool for large ones.
 */
#pragma once

#include "wire/surface.h"

/* What a line came to. */
struct decoded {
    enum err e;         /* as surface->decode() says; or ERR_NO_MEMORY */
    struct error error; /* unless OK */
    struct ask ask;     /* its text is gone: the order has it */
    char *order;        /* OK: the encoded `generate`; owned */
    size_t order_len;
    unsigned needs; /* OK: see enum need */
};

/* End `ret` with decoded_done(), whatever came of it. */
void decode_line(const struct surface *surface, struct asker asker, uint64_t serial,
                 const char *line, size_t len, struct decoded *ret);
void decoded_done(struct decoded *d);
