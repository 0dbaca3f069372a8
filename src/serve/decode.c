/*
 * decode.c - see decode.h.
 */
#include "serve/decode.h"

#include "proto/engine.h"

static enum err encode_order(uint64_t serial, struct decoded *d)
{
    struct buf order;
    buf_init(&order, ENGINE_FRAME_MAX);
    enum err e = order_put_generate(&order, serial, &d->ask.generate);
    if (e) {
        buf_done(&order);
        return e == ERR_NO_MEMORY ? fail_nomem(&d->error)
                                  : fail(&d->error, ERR_INVALID_REQUEST,
                                         "invalid request: it is longer than %d bytes once encoded",
                                         ENGINE_FRAME_MAX);
    }
    d->order = buf_steal(&order, &d->order_len);
    return OK;
}

void decode_line(const struct surface *surface, uint64_t serial, const char *line, size_t len,
                 struct decoded *ret)
{
    *ret = (struct decoded){ 0 };
    ask_init(&ret->ask);
    ret->e = surface->decode(line, len, &ret->ask, &ret->error);
    if (!ret->e)
        ret->e = encode_order(serial, ret);
    generate_done(&ret->ask.generate);
}

void decoded_done(struct decoded *d)
{
    ask_done(&d->ask);
    free(d->order);
    d->order = NULL;
}
