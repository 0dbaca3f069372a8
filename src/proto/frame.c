/*
 * frame.c - the shape of the input buffer.
 *
 *        taken            in.len        in.cap
 *          |                 |             |
 *     xxxxx[head][payload....              room
 *     ^^^^^ handed out
 *
 * Payloads are handed out in place.  What was handed out slides away in room(),
 * not in next(), which keeps every payload of one read alive together.  A frame
 * that has announced its length gets all its room at once, so a large one is not
 * copied while it arrives; once it was handed out the memory goes back, so that a
 * connection does not keep the size of the largest frame it ever saw.
 */
#include "proto/frame.h"

#include <string.h>

/* What one read asks for while no frame wants more. */
enum { READ_SIZE = 64 * 1024 };

/* An empty buffer larger than this is given back. */
enum { KEEP_MAX = 1024 * 1024 };

size_t varint_put(uint8_t *out, uint64_t value)
{
    size_t n = 0;
    while (value >= 0x80) {
        out[n++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[n++] = (uint8_t)value;
    return n;
}

size_t varint_read(struct slice in, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < in.len && i < VARINT_MAX; i++) {
        uint8_t byte = (uint8_t)in.at[i];
        if (i == VARINT_MAX - 1 && byte > 1)
            return 0;
        value |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte < 0x80) {
            *ret = value;
            return i + 1;
        }
    }
    return 0;
}

size_t frame_head(uint8_t *out, enum frame_type type, size_t len)
{
    size_t n = varint_put(out, (uint32_t)len);
    out[n] = (uint8_t)type;
    return n + 1;
}

enum err frame_put(struct buf *out, enum frame_type type, const void *payload, size_t len)
{
    uint8_t head[FRAME_HEAD_MAX];
    size_t n = frame_head(head, type, len);
    enum err e = buf_reserve(out, n + len);
    if (!e)
        e = buf_append(out, head, n);
    if (!e)
        e = buf_append(out, payload, len);
    return e;
}

void frame_reader_init(struct frame_reader *r, size_t max_payload)
{
    *r = (struct frame_reader){ .max_payload = max_payload };
    buf_init(&r->in, max_payload + FRAME_HEAD_MAX + READ_SIZE);
}

void frame_reader_done(struct frame_reader *r)
{
    buf_done(&r->in);
    r->taken = 0;
}

/* Only while there is any. */
static struct slice unread(const struct frame_reader *r)
{
    return (struct slice){ r->in.at + r->taken, r->in.len - r->taken };
}

/* The head at the front of what is unread. */
static enum err read_head(const struct frame_reader *r, size_t *ret_head, uint64_t *ret_len,
                          struct error *error)
{
    if (frame_reader_idle(r))
        return ERR_AGAIN;
    struct slice in = unread(r);
    struct slice length = { in.at, in.len < FRAME_LEN_MAX ? in.len : FRAME_LEN_MAX };
    size_t n = varint_read(length, ret_len);
    if (n == 0) {
        if (in.len < FRAME_LEN_MAX)
            return ERR_AGAIN;
        return fail(error, ERR_PROTOCOL, "length varint exceeded %d bytes", FRAME_LEN_MAX);
    }
    if (*ret_len > r->max_payload)
        return fail(error, ERR_FRAME_TOO_LARGE, "a frame of %llu bytes; at most %zu are allowed",
                    (unsigned long long)*ret_len, r->max_payload);
    *ret_head = n + 1;
    return OK;
}

enum err frame_reader_room(struct frame_reader *r, char **ret_at, size_t *ret_room)
{
    buf_consume(&r->in, r->taken);
    r->taken = 0;
    if (r->in.len == 0 && r->in.cap > KEEP_MAX)
        buf_done(&r->in);

    size_t want = READ_SIZE;
    size_t head = 0;
    uint64_t len = 0;
    if (read_head(r, &head, &len, NULL) == OK && head + len > r->in.len + want)
        want = head + len - r->in.len;
    enum err e = buf_reserve(&r->in, want);
    if (e)
        return e;
    *ret_at = r->in.at + r->in.len;
    *ret_room = r->in.cap - r->in.len;
    return OK;
}

void frame_reader_filled(struct frame_reader *r, size_t n)
{
    r->in.len += n;
}

enum err frame_reader_next(struct frame_reader *r, struct frame *ret_frame, struct error *error)
{
    size_t head = 0;
    uint64_t len = 0;
    enum err e = read_head(r, &head, &len, error);
    if (e)
        return e;
    struct slice in = unread(r);
    if (in.len < head + len)
        return ERR_AGAIN;
    *ret_frame = (struct frame){
        .type = (uint8_t)in.at[head - 1],
        .payload = { in.at + head, (size_t)len },
    };
    r->taken += head + (size_t)len;
    return OK;
}

bool frame_reader_waiting(const struct frame_reader *r)
{
    size_t head = 0;
    uint64_t len = 0;
    return read_head(r, &head, &len, NULL) == OK && unread(r).len >= head + len;
}

bool frame_reader_idle(const struct frame_reader *r)
{
    return r->in.len == r->taken;
}
