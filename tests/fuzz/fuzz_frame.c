/*
 * However the bytes are chopped, the frames and the errors are the same; and frames
 * that are put together again say what they said.
 */
#include "fuzz.h"

#include <string.h>

#include "proto/frame.h"

/* The frame as the encoder writes it: a length may have been longer than need be. */
static void note_frame(struct buf *notes, const struct frame *frame, size_t max_payload)
{
    REQUIRE(frame->payload.len <= max_payload);
    REQUIRE(frame_put(notes, (enum frame_type)frame->type, frame->payload.at, frame->payload.len) ==
            OK);
}

static void put_piece(struct frame_reader *r, const uint8_t *bytes, size_t n)
{
    while (n > 0) {
        char *at;
        size_t room;
        enum err e = frame_reader_room(r, &at, &room);
        REQUIRE(e == OK && room > 0);
        size_t part = n < room ? n : room;
        memcpy(at, bytes, part);
        frame_reader_filled(r, part);
        bytes += part;
        n -= part;
    }
}

static enum err note_frames(struct frame_reader *r, struct buf *notes, struct error *error)
{
    struct frame frame;
    enum err e;
    while ((e = frame_reader_next(r, &frame, error)) == OK)
        note_frame(notes, &frame, r->max_payload);
    REQUIRE(e == ERR_AGAIN || e == ERR_PROTOCOL || e == ERR_FRAME_TOO_LARGE);
    return e;
}

/* All frames there are, and what came behind them: a sentence, or how many bytes of a
 * frame that is not whole. */
static struct buf converse(const uint8_t *data, size_t size, size_t max_payload, size_t *ret_frames,
                           struct knife knife)
{
    struct buf notes;
    struct frame_reader r;
    struct error error;
    enum err e = ERR_AGAIN;
    buf_init(&notes, ROOMY);
    frame_reader_init(&r, max_payload);
    while (size > 0 && e == ERR_AGAIN) {
        size_t n = knife_next(&knife, size);
        put_piece(&r, data, n);
        e = note_frames(&r, &notes, &error);
        data += n;
        size -= n;
    }
    *ret_frames = notes.len;
    if (e != ERR_AGAIN)
        REQUIRE(buf_append_str(&notes, error.message) == OK);
    else
        REQUIRE(buf_printf(&notes, "%zu %d", r.in.len - r.taken, frame_reader_idle(&r)) == OK);
    frame_reader_done(&r);
    return notes;
}

static void expect_same(const struct buf *whole, size_t len, struct buf pieces)
{
    REQUIRE(pieces.len >= len);
    REQUIRE(len == 0 || memcmp(pieces.at, whole->at, len) == 0);
    buf_done(&pieces);
}

static void check_varint(const uint8_t *data, size_t size)
{
    uint64_t value;
    uint64_t again;
    uint8_t out[VARINT_MAX];
    size_t n = varint_read((struct slice){ (const char *)data, size }, &value);
    REQUIRE(n <= size && n <= VARINT_MAX);
    if (n == 0)
        return;
    size_t m = varint_put(out, value);
    REQUIRE(m <= n);
    REQUIRE(varint_read((struct slice){ (const char *)out, m }, &again) == m && again == value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { CHOICES = 2 };
    if (size < CHOICES)
        return 0;
    const uint8_t *bytes = data + CHOICES;
    size_t n = size - CHOICES;
    size_t max = data[0] * (size_t)8;
    size_t frames, other;
    check_varint(bytes, n);
    struct buf whole = converse(bytes, n, max, &frames, (struct knife){ n + 1, 0 });
    expect_same(&whole, whole.len, converse(bytes, n, max, &other, (struct knife){ 1, 0 }));
    expect_same(&whole, whole.len,
                converse(bytes, n, max, &other, (struct knife){ 1, data[1] + 1u }));

    /* What was put together again is taken apart the same way. */
    expect_same(&whole, frames,
                converse((const uint8_t *)whole.at, frames, max, &other, (struct knife){ 3, 0 }));
    REQUIRE(other == frames);
    buf_done(&whole);
    return 0;
}
