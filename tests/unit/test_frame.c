/*
 * test_frame.c - a byte stream cut into frames, however it was chopped.
 */
#include "test.h"

#include <stdio.h>
#include <string.h>

#include "proto/frame.h"

enum { MAX_PAYLOAD = 300 };

/* --- numbers --------------------------------------------------------------- */

static void expect_varint(uint64_t value, const char *bytes, size_t len)
{
    uint8_t out[VARINT_MAX];
    uint64_t back = ~value;
    assert_int_equal(varint_put(out, value), len);
    assert_memory_equal(out, bytes, len);
    assert_int_equal(varint_read((struct slice){ bytes, len }, &back), len);
    assert_true(back == value);
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(varint_read((struct slice){ bytes, cut }, &back), 0);
}

static void numbers_of_every_length_survive(void **state UNUSED)
{
    expect_varint(0, "\x00", 1);
    expect_varint(127, "\x7F", 1);
    expect_varint(128, "\x80\x01", 2);
    expect_varint(300, "\xAC\x02", 2);
    expect_varint(UINT32_MAX, "\xFF\xFF\xFF\xFF\x0F", 5);
    expect_varint(UINT64_MAX, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 10);
    for (int bit = 0; bit < 64; bit++) {
        uint8_t out[VARINT_MAX];
        uint64_t back = 0;
        size_t n = varint_put(out, UINT64_C(1) << bit);
        assert_int_equal(varint_read((struct slice){ (char *)out, n }, &back), n);
        assert_true(back == UINT64_C(1) << bit);
    }
}

static void numbers_of_more_than_64_bits_are_none(void **state UNUSED)
{
    uint64_t value = 5;
    assert_int_equal(
        varint_read((struct slice){ "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02", 10 }, &value), 0);
    assert_int_equal(
        varint_read((struct slice){ "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11 }, &value),
        0);
    assert_true(value == 5);
}

static void what_follows_a_number_is_not_its_business(void **state UNUSED)
{
    uint64_t value = 0;
    assert_int_equal(varint_read((struct slice){ "\x05\xFF\xFF", 3 }, &value), 1);
    assert_true(value == 5);
}

/* --- streams --------------------------------------------------------------- */

static void note(char *notes, size_t size, const struct frame *frame)
{
    size_t n = strlen(notes);
    snprintf(notes + n, size - n, "%u:%.*s|", frame->type, (int)frame->payload.len,
             frame->payload.at);
}

/* What comes out, in words, when the stream arrives `step` bytes at a time. */
static void read_in_steps(struct slice stream, size_t step, char *notes, size_t size)
{
    struct frame_reader r;
    struct frame frame;
    struct error error;
    enum err e = ERR_AGAIN;
    notes[0] = '\0';
    frame_reader_init(&r, MAX_PAYLOAD);
    for (size_t at = 0; at < stream.len && e == ERR_AGAIN;) {
        char *room;
        size_t n;
        assert_int_equal(frame_reader_room(&r, &room, &n), OK);
        assert_true(n > 0);
        n = n < step ? n : step;
        n = n < stream.len - at ? n : stream.len - at;
        memcpy(room, stream.at + at, n);
        frame_reader_filled(&r, n);
        at += n;
        bool waiting = frame_reader_waiting(&r);
        while ((e = frame_reader_next(&r, &frame, &error)) == OK) {
            assert_true(waiting);
            note(notes, size, &frame);
            waiting = frame_reader_waiting(&r);
        }
        assert_false(waiting);
    }
    if (e == ERR_AGAIN && !frame_reader_idle(&r))
        strcat(notes, "...");
    if (e == ERR_FRAME_TOO_LARGE)
        strcat(notes, "TOO_LARGE");
    if (e == ERR_PROTOCOL)
        strcat(notes, "PROTOCOL");
    frame_reader_done(&r);
}

static void expect(const char *stream, size_t len, const char *want)
{
    for (size_t step = 1; step <= len; step++) {
        char notes[4096];
        read_in_steps((struct slice){ stream, len }, step, notes, sizeof notes);
        assert_string_equal(notes, want);
    }
}

#define EXPECT(stream, want) expect(stream, sizeof(stream) - 1, want)

static void frames_come_out_whole(void **state UNUSED)
{
    EXPECT("\x03\x01"
           "one"
           "\x05\x03"
           "three",
           "1:one|3:three|");
}

static void an_empty_frame_is_one(void **state UNUSED)
{
    EXPECT("\x00\x02"
           "\x00\x01",
           "2:|1:|");
}

static void an_unfinished_frame_stays_inside(void **state UNUSED)
{
    EXPECT("\x01\x01"
           "a"
           "\x03\x01"
           "tw",
           "1:a|...");
    EXPECT("\x80", "...");
    EXPECT("\x01", "...");
}

static void any_type_is_handed_out(void **state UNUSED)
{
    EXPECT("\x01\xFFx", "255:x|");
}

static void a_length_of_more_than_five_bytes_is_none(void **state UNUSED)
{
    EXPECT("\x01\x01"
           "a"
           "\x80\x80\x80\x80\x80\x01",
           "1:a|PROTOCOL");
}

static void a_length_may_be_padded_to_five_bytes(void **state UNUSED)
{
    EXPECT("\x81\x80\x80\x80\x00\x01x", "1:x|");
}

static void the_largest_frame_passes_and_one_byte_more_does_not(void **state UNUSED)
{
    struct buf b;
    char payload[MAX_PAYLOAD + 1], want[400], notes[4096];
    memset(payload, 'x', sizeof payload);
    buf_init(&b, 10000);
    assert_int_equal(frame_put(&b, FRAME_TEXT, payload, MAX_PAYLOAD), OK);
    snprintf(want, sizeof want, "3:%.*s|", MAX_PAYLOAD, payload);
    expect(b.at, b.len, want);

    buf_clear(&b);
    assert_int_equal(frame_put(&b, FRAME_TEXT, payload, MAX_PAYLOAD + 1), OK);
    /* Its head is enough to know. */
    read_in_steps((struct slice){ b.at, 2 }, 2, notes, sizeof notes);
    assert_string_equal(notes, "TOO_LARGE");
    buf_done(&b);
}

static void too_large_names_the_size_and_the_limit(void **state UNUSED)
{
    struct frame_reader r;
    struct frame frame;
    struct error error;
    char *at;
    size_t room;
    frame_reader_init(&r, MAX_PAYLOAD);
    assert_int_equal(frame_reader_room(&r, &at, &room), OK);
    memcpy(at, "\xAD\x02", 2);
    frame_reader_filled(&r, 2);
    assert_int_equal(frame_reader_next(&r, &frame, &error), ERR_FRAME_TOO_LARGE);
    assert_string_equal(error.message, "a frame of 301 bytes; at most 300 are allowed");
    frame_reader_done(&r);
}

/* --- memory ---------------------------------------------------------------- */

static void feed(struct frame_reader *r, const char *bytes, size_t len)
{
    while (len > 0) {
        char *at;
        size_t room;
        assert_int_equal(frame_reader_room(r, &at, &room), OK);
        size_t n = len < room ? len : room;
        memcpy(at, bytes, n);
        frame_reader_filled(r, n);
        bytes += n;
        len -= n;
    }
}

static void payloads_of_one_read_live_together(void **state UNUSED)
{
    struct frame_reader r;
    struct frame a, b;
    frame_reader_init(&r, MAX_PAYLOAD);
    feed(&r, "\x01\x01x\x01\x01y", 6);
    assert_int_equal(frame_reader_next(&r, &a, NULL), OK);
    assert_int_equal(frame_reader_next(&r, &b, NULL), OK);
    assert_int_equal(a.payload.at[0], 'x');
    assert_int_equal(b.payload.at[0], 'y');
    assert_true(frame_reader_idle(&r));
    frame_reader_done(&r);
}

static void a_frame_that_announced_itself_gets_its_room_at_once(void **state UNUSED)
{
    enum { LARGE = 5000000 };
    struct frame_reader r;
    uint8_t head[FRAME_HEAD_MAX];
    char *at;
    size_t room;
    frame_reader_init(&r, LARGE);
    feed(&r, (char *)head, frame_head(head, FRAME_BLOB, LARGE));
    assert_int_equal(frame_reader_room(&r, &at, &room), OK);
    assert_true(room >= LARGE);
    frame_reader_done(&r);
}

static void the_memory_of_a_large_frame_goes_back(void **state UNUSED)
{
    enum { LARGE = 5000000 };
    struct frame_reader r;
    struct frame frame;
    uint8_t head[FRAME_HEAD_MAX];
    char *payload = calloc(1, LARGE), *at;
    size_t room;
    assert_non_null(payload);
    frame_reader_init(&r, LARGE);
    feed(&r, (char *)head, frame_head(head, FRAME_BLOB, LARGE));
    feed(&r, payload, LARGE);
    assert_int_equal(frame_reader_next(&r, &frame, NULL), OK);
    assert_int_equal(frame.payload.len, LARGE);
    assert_int_equal(frame_reader_room(&r, &at, &room), OK);
    assert_true(r.in.cap < LARGE / 2);
    frame_reader_done(&r);
    free(payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_of_every_length_survive),
        cmocka_unit_test(numbers_of_more_than_64_bits_are_none),
        cmocka_unit_test(what_follows_a_number_is_not_its_business),
        cmocka_unit_test(frames_come_out_whole),
        cmocka_unit_test(an_empty_frame_is_one),
        cmocka_unit_test(an_unfinished_frame_stays_inside),
        cmocka_unit_test(any_type_is_handed_out),
        cmocka_unit_test(a_length_of_more_than_five_bytes_is_none),
        cmocka_unit_test(a_length_may_be_padded_to_five_bytes),
        cmocka_unit_test(the_largest_frame_passes_and_one_byte_more_does_not),
        cmocka_unit_test(too_large_names_the_size_and_the_limit),
        cmocka_unit_test(payloads_of_one_read_live_together),
        cmocka_unit_test(a_frame_that_announced_itself_gets_its_room_at_once),
        cmocka_unit_test(the_memory_of_a_large_frame_goes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
