/*
 * frame.h - a byte stream cut into typed frames.
 *
 *     uvarint payload_len . 1 byte type . payload
 *
 * The length is LEB128, at most five bytes, and does not count the type.  The
 * codec knows nothing of what is inside.  Reading goes straight into the buffer
 * that the payload is handed out from:
 *
 *     e = frame_reader_room(&r, &at, &room);
 *     n = read(fd, at, room);
 *     frame_reader_filled(&r, n);
 *     while ((e = frame_reader_next(&r, &frame, &error)) == OK)
 *         handle(&frame);
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"

enum frame_type {
    FRAME_JSON = 0x01,
    FRAME_BLOB = 0x02,
    FRAME_TEXT = 0x03,
};

enum {
    VARINT_MAX = 10,   /* bytes of a 64-bit uvarint */
    FRAME_LEN_MAX = 5, /* bytes of a frame's length */
    FRAME_HEAD_MAX = FRAME_LEN_MAX + 1,
};

struct frame {
    uint8_t type;
    struct slice payload;
};

/* Write `value` to `out` (VARINT_MAX bytes); how many were used. */
size_t varint_put(uint8_t *out, uint64_t value);

/* Read a value from the front of `in`; 0 if it is cut short or longer than 64
 * bits, else the bytes it took. */
size_t varint_read(struct slice in, uint64_t *ret);

/* The bytes before a payload of `len` (at most UINT32_MAX), to `out`
 * (FRAME_HEAD_MAX bytes); how many were used. */
size_t frame_head(uint8_t *out, enum frame_type type, size_t len);

/* Append a whole frame. */
enum err frame_put(struct buf *out, enum frame_type type, const void *payload, size_t len) MUST_USE;

struct frame_reader {
    struct buf in;
    size_t taken; /* bytes of `in` already handed out */
    size_t max_payload;
};

/* Allocates nothing. */
void frame_reader_init(struct frame_reader *r, size_t max_payload);
void frame_reader_done(struct frame_reader *r);

/* Where the next bytes of the stream go, and how many there may be (at least one).
 * Slices handed out before are no longer valid. */
enum err frame_reader_room(struct frame_reader *r, char **ret_at, size_t *ret_room) MUST_USE;
void frame_reader_filled(struct frame_reader *r, size_t n);

/*
 * The next whole frame; its payload is valid until the next frame_reader_room().
 *
 * ERR_AGAIN            no whole frame yet
 * ERR_FRAME_TOO_LARGE  longer than max_payload
 * ERR_PROTOCOL         a length that is none
 *
 * After the last two the stream can't be followed any further.
 */
enum err frame_reader_next(struct frame_reader *r, struct frame *ret_frame,
                           struct error *error) MUST_USE;

/* Has a whole frame come that was not handed out yet? */
bool frame_reader_waiting(const struct frame_reader *r);

/* Does the stream stand between two frames? */
bool frame_reader_idle(const struct frame_reader *r);
