/*
 * decode.h - from a client's line to an order that an engine understands.
 *
 * Touches nothing but its arguments, so it runs on the loop for small lines and on
 * libuv's pool for large ones.
 */
#pragma once

#include <uv.h>

#include "core/poison.h"
#include "wire/surface.h"

/* What a line came to. */
struct decoded {
    uint64_t serial;
    enum err e;         /* as surface->decode() says; or ERR_NO_MEMORY */
    struct error error; /* unless OK */
    struct ask ask;     /* its text is gone: the order has it */
    char *order;        /* OK: the encoded `generate`; owned */
    size_t order_len;
    unsigned needs;           /* OK: see enum need */
    struct fingerprint print; /* of what it asks */
};

/* Who asks for what to be decoded, and how. */
struct decoding {
    const struct surface *surface;
    const struct poison *poison;
    struct asker asker;
    uint64_t serial;
};

/* End `ret` with decoded_done(), whatever came of it. */
void decode_line(const struct decoding *how, const char *line, size_t len, struct decoded *ret);
void decoded_done(struct decoded *d);

/* A line on the pool; it owns itself. */
struct decode_job;

/* Decode there; takes `line`, on failure too.  `done` gets what it came to, borrowed, from the
 * loop.  ERR_NO_MEMORY */
enum err decode_start(uv_loop_t *loop, const struct decoding *how, char *line, size_t len,
                      void (*done)(void *owner, struct decoded *decoded), void *owner,
                      struct decode_job **ret) MUST_USE;

/* Its owner is gone, or wants it no more: nobody hears what it came to. */
void decode_orphan(struct decode_job *job);
