/*
 * output.c - one byte at a time: tokens are short.
 *
 * A byte that can't go on ends what is pending (one U+FFFD for all of it) and may
 * begin a character itself.
 */
#include "output.h"

static enum err replace(struct output *o, struct buf *out)
{
    output_init(o);
    return buf_append_str(out, "\xef\xbf\xbd");
}

/* `byte` stands where a character begins. */
static enum err begin(struct output *o, char byte, struct buf *out)
{
    if (byte == '\0' || !utf8_feed(&o->state, &byte, 1))
        return replace(o, out);
    if (utf8_complete(&o->state))
        return buf_append(out, &byte, 1);
    o->pending[o->n_pending++] = byte;
    return OK;
}

static enum err proceed(struct output *o, char byte, struct buf *out)
{
    if (!utf8_feed(&o->state, &byte, 1)) {
        enum err e = replace(o, out);
        return e ? e : begin(o, byte, out);
    }
    o->pending[o->n_pending++] = byte;
    if (!utf8_complete(&o->state))
        return OK;
    enum err e = buf_append(out, o->pending, o->n_pending);
    output_init(o);
    return e;
}

enum err output_add(struct output *o, const char *bytes, size_t n, struct buf *out)
{
    enum err e = OK;
    for (size_t i = 0; !e && i < n; i++)
        e = o->n_pending ? proceed(o, bytes[i], out) : begin(o, bytes[i], out);
    return e;
}
