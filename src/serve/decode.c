/*
 * decode.c - see decode.h.
 */
#include "serve/decode.h"

#include "proto/engine.h"

static enum err encode_order(uint64_t serial, struct decoded *d)
{
    struct buf order;
    buf_init(&order, 2 * (size_t)ENGINE_FRAME_MAX);
    if (order_put_generate(&order, serial, &d->ask.generate)) {
        buf_done(&order);
        return fail_nomem(&d->error);
    }
    d->order = buf_steal(&order, &d->order_len);
    return OK;
}

void decode_line(const struct surface *surface, struct asker asker, uint64_t serial,
                 const char *line, size_t len, struct decoded *ret)
{
    *ret = (struct decoded){ 0 };
    ask_init(&ret->ask);
    ret->e = surface->decode(line, len, &ret->ask, &ret->error);
    ret->ask.generate.asker = asker;
    if (!ret->e)
        ret->e = encode_order(serial, ret);
    ret->needs = generate_needs(&ret->ask.generate);
    generate_done(&ret->ask.generate);
}

void decoded_done(struct decoded *d)
{
    ask_done(&d->ask);
    free(d->order);
    d->order = NULL;
}
