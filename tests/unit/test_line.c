/*
 * What line.h promises.  Most tests feed their input in pieces of every size: the
 * outcome must not depend on it.
 */
#include "wire/line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* cmocka has a macro of the name of our fail(), so it comes last. */
#include <cmocka.h>

enum {
    MAX_LINE = 16,
    MAX_DEPTH = 3,
    BIG = 3 * 1024 * 1024,
    ROOMY = 1024 * 1024 * 1024,
};

/* A line that is one string of `n` bytes in all. */
static char *string_line(size_t n)
{
    char *line = malloc(n + 1);
    assert_non_null(line);
    memset(line, 'x', n);
    line[0] = line[n - 1] = '"';
    line[n] = '\n';
    return line;
}

static void put_piece(struct line_reader *r, const char *bytes, size_t n)
{
    while (n > 0) {
        char *at;
        size_t room;
        assert_int_equal(line_reader_room(r, &at, &room), OK);
        assert_in_range(room, 1, LINE_READ_MAX);
        size_t part = n < room ? n : room;
        memcpy(at, bytes, part);
        line_reader_filled(r, part);
        bytes += part;
        n -= part;
    }
}

/* All lines there are, each with a bar behind it, and the error if there is one. */
static enum err note_lines(struct line_reader *r, struct buf *notes)
{
    struct slice line;
    struct error error;
    enum err e;
    while ((e = line_reader_next(r, &line, &error)) == OK) {
        assert_int_equal(buf_append(notes, line.at, line.len), OK);
        assert_int_equal(buf_append_str(notes, "|"), OK);
    }
    if (e == ERR_AGAIN || e == ERR_CLOSED)
        return e;
    assert_int_equal(buf_append_str(notes, error.message), OK);
    assert_int_equal(error.code, e);

    struct error again;
    char *at;
    size_t room;
    assert_int_equal(line_reader_next(r, &line, &again), e);
    assert_string_equal(again.message, error.message);
    assert_int_equal(line_reader_room(r, &at, &room), e);
    return e;
}

/* The notes of a conversation that comes in pieces of `step` bytes. */
static void converse(const char *input, size_t len, size_t step, struct buf *notes)
{
    struct line_reader r;
    enum err e = ERR_AGAIN;
    line_reader_init(&r, MAX_LINE, MAX_DEPTH);
    for (size_t i = 0; i < len && e == ERR_AGAIN; i += step) {
        put_piece(&r, input + i, step < len - i ? step : len - i);
        e = note_lines(&r, notes);
    }
    if (e == ERR_AGAIN) {
        line_reader_end(&r);
        note_lines(&r, notes);
    }
    line_reader_done(&r);
}

static void expect_bytes(const char *input, size_t len, const char *want)
{
    for (size_t step = 1; step <= len + 1; step++) {
        struct buf notes;
        buf_init(&notes, ROOMY);
        converse(input, len, step, &notes);
        assert_int_equal(buf_append(&notes, "", 1), OK);
        assert_string_equal(notes.at, want);
        buf_done(&notes);
    }
}

static void expect(const char *input, const char *want)
{
    expect_bytes(input, strlen(input), want);
}

static void lines_come_out_whole(void **state UNUSED)
{
    expect("{}\n[]\n", "{}|[]|");
}

static void the_last_line_needs_no_newline(void **state UNUSED)
{
    expect("{}\n[]", "{}|[]|");
}

static void before_the_end_an_unfinished_line_stays_inside(void **state UNUSED)
{
    struct line_reader r;
    struct slice line;
    line_reader_init(&r, MAX_LINE, MAX_DEPTH);
    put_piece(&r, "{}\n[", 4);
    assert_int_equal(line_reader_next(&r, &line, NULL), OK);
    assert_int_equal(line_reader_next(&r, &line, NULL), ERR_AGAIN);
    assert_int_equal(line_reader_pending(&r), 1);
    line_reader_done(&r);
}

static void blank_lines_and_carriage_returns_are_forgiven(void **state UNUSED)
{
    expect("\n\r\n \t \r\n{}\r\n\n", "{}|");
    expect(" \t ", "");
}

static void only_white_space_makes_a_line_blank(void **state UNUSED)
{
    expect(",\n:\n]\n \v\n", ",|:|]| \v|");
}

static void white_space_inside_a_line_stays(void **state UNUSED)
{
    expect(" { }\t\n{\r}\n", " { }\t|{\r}|");
}

static void a_line_of_exactly_the_limit_is_fine(void **state UNUSED)
{
    expect("\"23456789012345\"\n{}\n", "\"23456789012345\"|{}|");
    expect("\"2345678901234\"\r\n", "\"2345678901234\"|");
    expect("\"23456789012345\"", "\"23456789012345\"|");
}

static void one_byte_more_is_not(void **state UNUSED)
{
    expect("{}\n\"234567890123456\"\n{}\n", "{}|frame exceeds 16 byte cap");
    expect("\"23456789012345\"\r\n", "frame exceeds 16 byte cap");
}

static void too_long_does_not_wait_for_the_newline(void **state UNUSED)
{
    expect("\"2345678901234567", "frame exceeds 16 byte cap");
}

static void white_space_counts_towards_the_limit(void **state UNUSED)
{
    expect("                 \n", "frame exceeds 16 byte cap");
}

static void a_byte_order_mark_is_refused_at_the_start_of_any_line(void **state UNUSED)
{
    expect("\xEF\xBB\xBF{}\n", "decode: a byte-order mark at byte 3 of the line");
    expect("{}\n\xEF\xBB\xBF{}\n", "{}|decode: a byte-order mark at byte 3 of the line");
}

static void its_character_inside_a_string_is_fine(void **state UNUSED)
{
    expect("\"\xEF\xBB\xBF\"\n", "\"\xEF\xBB\xBF\"|");
}

static void nul_is_refused_wherever_it_stands(void **state UNUSED)
{
    expect_bytes("\"a\0\"\n", 5, "decode: a NUL at byte 3 of the line");
    expect_bytes("{}\n\0\n", 5, "{}|decode: a NUL at byte 1 of the line");
}

static void invalid_utf8_is_refused_where_it_starts_to_be(void **state UNUSED)
{
    expect("\"\xFF\"\n", "decode: invalid UTF-8 at byte 2 of the line");
    expect("\"\xC0\xAF\"\n", "decode: invalid UTF-8 at byte 2 of the line");
    expect("\"\xED\xA0\x80\"\n", "decode: invalid UTF-8 at byte 3 of the line");
    expect("\"\xF0\x9F\x98\"\n", "decode: invalid UTF-8 at byte 5 of the line");
}

static void a_character_does_not_go_on_behind_a_newline(void **state UNUSED)
{
    expect("\"\xE2\x82\n\xAC\"\n", "decode: invalid UTF-8 at byte 4 of the line");
    expect("\"\xE2\x82", "decode: invalid UTF-8 at byte 4 of the line");
}

static void characters_of_every_length_pass(void **state UNUSED)
{
    expect("\"aé€😀\"\n", "\"aé€😀\"|");
}

static void nesting_is_fine_up_to_the_limit(void **state UNUSED)
{
    expect("[{\"a\":[]}]\n[[[]],[[]]]\n", "[{\"a\":[]}]|[[[]],[[]]]|");
    expect("[[[{", "decode: nesting deeper than 3 at byte 4 of the line");
    expect("[[[]]\n[[[]]]\n", "[[[]]|[[[]]]|"); /* each line starts at the top */
}

static void brackets_inside_a_string_are_text(void **state UNUSED)
{
    expect("\"[[[[[[\"\n", "\"[[[[[[\"|");
    expect("\"\\\"[[[[[\"\n", "\"\\\"[[[[[\"|");
    expect("\"1234567\\\"[[[[\"\n", "\"1234567\\\"[[[[\"|");
}

static void a_backslash_does_not_hide_the_quote_behind_two(void **state UNUSED)
{
    expect("\"\\\\\"[[[[\n", "decode: nesting deeper than 3 at byte 8 of the line");
}

static void closing_what_was_not_open_is_the_parsers_to_refuse(void **state UNUSED)
{
    expect("]]]]}}\n[[[]]]\n", "]]]]}}|[[[]]]|");
}

static void the_first_fault_in_the_line_wins(void **state UNUSED)
{
    expect("\"\xFF\"[[[[\n", "decode: invalid UTF-8 at byte 2 of the line");
    expect("[[[[\"\xFF\"\n", "decode: nesting deeper than 3 at byte 4 of the line");
    expect_bytes("\"\0\xFF\"\n", 5, "decode: a NUL at byte 2 of the line");
    expect_bytes("\"\xFF\0\"\n", 5, "decode: invalid UTF-8 at byte 2 of the line");
    expect("\"23456789012345\xFF\"\n", "decode: invalid UTF-8 at byte 16 of the line");
    expect("\"234567890123456\xFF\"\n", "frame exceeds 16 byte cap");
}

static void values_are_counted_and_keys_are_not(void **state UNUSED)
{
    static const struct {
        const char *line;
        size_t values;
    } cases[] = {
        { "1", 1 },
        { "\"a\"", 1 },
        { "true", 1 },
        { "[]", 1 },
        { "[ ]", 1 },
        { "[1,2]", 3 },
        { "[1 ,\t2]", 3 },
        { "[[],[],{}]", 4 },
        { "{\"a\":1}", 2 },
        { "{\"a\" : \"b\"}", 2 },
        { "{\"a\":{\"b\":[]},\"c\":\"d\"}", 4 },
        { "[\"a:\",\":\",\"\\\":\"]", 4 },
        { "[null,true,false,-1e5]", 5 },
        { "1 2", 2 },           /* not JSON: counted, and the parser refuses it */
        { "\"a\":::\"b\"", 1 }, /* likewise */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct line_reader r;
        struct slice line;
        line_reader_init(&r, 100, MAX_DEPTH);
        for (const char *at = cases[i].line; *at; at++) {
            put_piece(&r, at, 1);
            assert_int_equal(line_reader_next(&r, &line, NULL), ERR_AGAIN);
        }
        assert_int_equal(r.scan.values, cases[i].values);
        line_reader_done(&r);
    }
}

/* `[` `item` as often as said, then `]`. */
static enum err read_many(const char *item, size_t count, size_t step, struct error *error)
{
    struct buf input;
    buf_init(&input, ROOMY);
    assert_int_equal(buf_append_str(&input, "["), OK);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(buf_append_str(&input, item), OK);
    assert_int_equal(buf_append_str(&input, "]\n"), OK);

    struct line_reader r;
    struct slice line;
    enum err e = ERR_AGAIN;
    line_reader_init(&r, BIG, MAX_DEPTH);
    for (size_t i = 0; i < input.len && e == ERR_AGAIN; i += step) {
        put_piece(&r, input.at + i, step < input.len - i ? step : input.len - i);
        e = line_reader_next(&r, &line, error);
    }
    line_reader_done(&r);
    buf_done(&input);
    return e;
}

static void a_hundred_thousand_values_are_fine_and_one_more_is_not(void **state UNUSED)
{
    static const char *const items[] = { "{},", "0,", "\"a\"," };
    static const size_t steps[] = { 1, 1000, LINE_READ_MAX };
    for (size_t i = 0; i < ARRAY_LEN(items); i++) {
        for (size_t k = 0; k < ARRAY_LEN(steps); k++) {
            struct error error;
            assert_int_equal(read_many(items[i], LINE_VALUES_MAX - 1, steps[k], &error), OK);
            assert_int_equal(read_many(items[i], LINE_VALUES_MAX, steps[k], &error), ERR_PROTOCOL);
            assert_non_null(strstr(error.message, "decode: more values than 100000 at byte "));
        }
    }
}

static uint32_t random_below(uint32_t *seed, uint32_t n)
{
    *seed = *seed * 1664525 + 1013904223;
    return (*seed >> 8) % n;
}

static void however_the_bytes_are_chopped_the_lines_are_the_same(void **state UNUSED)
{
    static const struct slice bits[] = {
        { "{", 1 },    { "}", 1 },    { "[", 1 },  { "\"", 1 },       { "\"", 1 },
        { "\\", 1 },   { ":", 1 },    { ",", 1 },  { "12", 2 },       { "\n", 1 },
        { "\n", 1 },   { "\r\n", 2 }, { " ", 1 },  { "\xC3\xA9", 2 }, { "\xE2\x82\xAC", 3 },
        { "\xE2", 1 }, { "\xFF", 1 }, { "\0", 1 }, { "text", 4 },     { "\xEF\xBB\xBF", 3 },
    };
    uint32_t seed = 1;
    for (int round = 0; round < 5000; round++) {
        struct buf input, whole;
        buf_init(&input, ROOMY);
        buf_init(&whole, ROOMY);
        /* The rare bits are those that end a conversation. */
        uint32_t choice = random_below(&seed, 4) ? ARRAY_LEN(bits) - 5 : ARRAY_LEN(bits);
        for (uint32_t n = random_below(&seed, 24); n > 0; n--) {
            const struct slice *bit = &bits[random_below(&seed, choice)];
            assert_int_equal(buf_append(&input, bit->at, bit->len), OK);
        }
        converse(input.at, input.len, input.len + 1, &whole);
        for (size_t step = 1; step <= input.len; step++) {
            struct buf pieces;
            buf_init(&pieces, ROOMY);
            converse(input.at, input.len, step, &pieces);
            assert_int_equal(pieces.len, whole.len);
            if (whole.len > 0)
                assert_memory_equal(pieces.at, whole.at, whole.len);
            buf_done(&pieces);
        }
        buf_done(&whole);
        buf_done(&input);
    }
}

static void a_line_can_be_taken_and_what_is_behind_it_stays(void **state UNUSED)
{
    struct line_reader r;
    struct slice line;
    char *bytes;
    size_t len;
    line_reader_init(&r, MAX_LINE, MAX_DEPTH);
    put_piece(&r, "{}\n[1]\r\n\"a\"\n[", 13);
    assert_int_equal(line_reader_next(&r, &line, NULL), OK);
    assert_int_equal(line_reader_next(&r, &line, NULL), OK);
    assert_int_equal(line_reader_take(&r, &bytes, &len), OK);
    assert_int_equal(len, 3);
    assert_memory_equal(bytes, "[1]", 3);
    free(bytes);

    assert_int_equal(line_reader_pending(&r), 5);
    assert_int_equal(line_reader_next(&r, &line, NULL), OK);
    assert_int_equal(line.len, 3);
    assert_memory_equal(line.at, "\"a\"", 3);
    put_piece(&r, "2]\n", 3);
    assert_int_equal(line_reader_next(&r, &line, NULL), OK);
    assert_int_equal(line_reader_take(&r, &bytes, &len), OK);
    assert_int_equal(len, 3);
    assert_memory_equal(bytes, "[2]", 3);
    free(bytes);
    assert_int_equal(line_reader_pending(&r), 0);
    line_reader_done(&r);
}

static void a_taken_line_may_be_long(void **state UNUSED)
{
    struct line_reader r;
    struct slice line;
    char *bytes;
    size_t len;
    char *input = string_line(BIG);
    line_reader_init(&r, BIG, MAX_DEPTH);
    put_piece(&r, input, BIG + 1);
    put_piece(&r, "{}\n", 3);
    assert_int_equal(line_reader_next(&r, &line, NULL), OK);
    assert_int_equal(line_reader_take(&r, &bytes, &len), OK);
    assert_int_equal(len, BIG);
    assert_memory_equal(bytes, input, BIG);
    free(bytes);
    assert_int_equal(line_reader_next(&r, &line, NULL), OK);
    assert_int_equal(line.len, 2);
    line_reader_done(&r);
    free(input);
}

static void a_reader_without_bytes_holds_no_memory(void **state UNUSED)
{
    struct line_reader r;
    struct slice line;
    char *at;
    size_t room;
    line_reader_init(&r, MAX_LINE, MAX_DEPTH);
    assert_null(r.in.at);

    put_piece(&r, "{}\n", 3);
    assert_int_equal(line_reader_next(&r, &line, NULL), OK);
    assert_int_equal(line_reader_next(&r, &line, NULL), ERR_AGAIN);
    assert_null(r.in.at);

    assert_int_equal(line_reader_room(&r, &at, &room), OK);
    line_reader_filled(&r, 0);
    assert_null(r.in.at);

    assert_int_equal(line_reader_room(&r, &at, &room), OK);
    assert_int_equal(line_reader_next(&r, &line, NULL), ERR_AGAIN);
    assert_null(r.in.at);

    put_piece(&r, "\xFF", 1);
    assert_int_equal(line_reader_next(&r, &line, NULL), ERR_PROTOCOL);
    assert_null(r.in.at);
    line_reader_done(&r);
}

static void a_long_line_leaves_no_large_buffer_behind(void **state UNUSED)
{
    struct line_reader r;
    struct slice line;
    char *input = string_line(BIG);
    line_reader_init(&r, BIG, MAX_DEPTH);
    put_piece(&r, input, BIG + 1);
    put_piece(&r, "[1", 2);
    assert_int_equal(line_reader_next(&r, &line, NULL), OK);
    assert_int_equal(line_reader_next(&r, &line, NULL), ERR_AGAIN);
    assert_in_range(r.in.cap, 2, 2 * LINE_READ_MAX);
    put_piece(&r, "]\n", 2);
    assert_int_equal(line_reader_next(&r, &line, NULL), OK);
    assert_memory_equal(line.at, "[1]", 3);
    line_reader_done(&r);
    free(input);
}

static void a_reader_that_is_never_emptied_fills_up(void **state UNUSED)
{
    struct line_reader r;
    struct slice line;
    char *at;
    size_t room, held = 0;
    enum err e;
    line_reader_init(&r, MAX_LINE, MAX_DEPTH);
    while ((e = line_reader_room(&r, &at, &room)) == OK) {
        memset(at, '\n', room);
        line_reader_filled(&r, room);
        held += room;
        assert_in_range(held, 1, MAX_LINE + LINE_READ_MAX);
    }
    assert_int_equal(e, ERR_AGAIN);
    assert_int_equal(line_reader_next(&r, &line, NULL), ERR_AGAIN);
    assert_int_equal(line_reader_room(&r, &at, &room), OK);
    line_reader_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_out_whole),
        cmocka_unit_test(the_last_line_needs_no_newline),
        cmocka_unit_test(before_the_end_an_unfinished_line_stays_inside),
        cmocka_unit_test(blank_lines_and_carriage_returns_are_forgiven),
        cmocka_unit_test(only_white_space_makes_a_line_blank),
        cmocka_unit_test(white_space_inside_a_line_stays),
        cmocka_unit_test(a_line_of_exactly_the_limit_is_fine),
        cmocka_unit_test(one_byte_more_is_not),
        cmocka_unit_test(too_long_does_not_wait_for_the_newline),
        cmocka_unit_test(white_space_counts_towards_the_limit),
        cmocka_unit_test(a_byte_order_mark_is_refused_at_the_start_of_any_line),
        cmocka_unit_test(its_character_inside_a_string_is_fine),
        cmocka_unit_test(nul_is_refused_wherever_it_stands),
        cmocka_unit_test(invalid_utf8_is_refused_where_it_starts_to_be),
        cmocka_unit_test(a_character_does_not_go_on_behind_a_newline),
        cmocka_unit_test(characters_of_every_length_pass),
        cmocka_unit_test(nesting_is_fine_up_to_the_limit),
        cmocka_unit_test(brackets_inside_a_string_are_text),
        cmocka_unit_test(a_backslash_does_not_hide_the_quote_behind_two),
        cmocka_unit_test(closing_what_was_not_open_is_the_parsers_to_refuse),
        cmocka_unit_test(the_first_fault_in_the_line_wins),
        cmocka_unit_test(values_are_counted_and_keys_are_not),
        cmocka_unit_test(a_hundred_thousand_values_are_fine_and_one_more_is_not),
        cmocka_unit_test(however_the_bytes_are_chopped_the_lines_are_the_same),
        cmocka_unit_test(a_line_can_be_taken_and_what_is_behind_it_stays),
        cmocka_unit_test(a_taken_line_may_be_long),
        cmocka_unit_test(a_reader_without_bytes_holds_no_memory),
        cmocka_unit_test(a_long_line_leaves_no_large_buffer_behind),
        cmocka_unit_test(a_reader_that_is_never_emptied_fills_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
