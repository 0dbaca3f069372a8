/*
 * test_record.c - one line of the activity log.
 */
#include "test.h"

#include <jansson.h>
#include <string.h>

#include "journal/record.h"

static const struct timespec NOW = { 1764097445, 123456789 };

static struct buf out;

static int set_up(void **state UNUSED)
{
    buf_init(&out, 1 << 20);
    return 0;
}

static int tear_down(void **state UNUSED)
{
    buf_done(&out);
    return 0;
}

static struct record begun(void)
{
    struct record r;
    record_init(&r, "activity", LOG_INFO, "request_done");
    return r;
}

static void assert_line(struct record *r, const char *want)
{
    assert_int_equal(record_put(r, &NOW, &out), OK);
    assert_int_equal(buf_append(&out, "", 1), OK);
    assert_string_equal(out.at, want);
}

static void keys_are_in_order(void **state UNUSED)
{
    struct record r = begun();
    record_number(&r, "prompt_tokens", -3);
    record_text(&r, "backend", "main");
    record_flag(&r, "stream", true);
    record_text(&r, "absent", NULL);
    record_ms(&r, "queue_ms", 12045);
    record_ms(&r, "never_ms", -1);
    assert_line(&r,
                "{\"backend\":\"main\",\"component\":\"activity\",\"level\":\"info\","
                "\"msg\":\"request_done\",\"prompt_tokens\":-3,\"queue_ms\":12.045,\"stream\":true,"
                "\"t\":\"2025-11-25T19:04:05.123456+00:00\"}\n");
}

/* What becomes of a text on its way into the log. */
static void assert_shown(const char *text, const char *want)
{
    struct record r = begun();
    record_text(&r, "x", text);
    buf_clear(&out);
    assert_int_equal(record_put(&r, &NOW, &out), OK);
    json_t *tree = json_loadb(out.at, out.len, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(tree, "x")), want);
    json_decref(tree);
}

static void no_text_starts_a_line_or_moves_a_cursor(void **state UNUSED)
{
    assert_shown("a\n{\"msg\":\"forged\"}\r", "a?{\"msg\":\"forged\"}?");
    assert_shown("\x1b[2J\x7f\t", "?[2J??");
    assert_shown("a\xc2\x9b"
                 "2J\xc2\xa0",
                 "a??2J\xc2\xa0");
    assert_shown("back\\slash \"quoted\"", "back\\slash \"quoted\"");
}

static void bytes_that_are_no_characters(void **state UNUSED)
{
    assert_shown("a\xff\xc3z", "a??z");
    assert_shown("\xc3\xa4", "\xc3\xa4");
}

static void long_texts_are_cut_at_a_character(void **state UNUSED)
{
    char text[2 * TEXT_SHOWN_MAX + 1], want[TEXT_SHOWN_MAX + 1];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    memcpy(text + TEXT_SHOWN_MAX - 1, "\xc3\xa4", 2);
    memset(want, 'a', sizeof want);
    want[TEXT_SHOWN_MAX - 1] = '\0';
    assert_shown(text, want);
}

static void without_room_nothing_is_written(void **state UNUSED)
{
    struct record r = begun();
    struct buf small;
    buf_init(&small, 40);
    assert_int_equal(buf_append_str(&small, "x"), OK);
    assert_int_equal(record_put(&r, &NOW, &small), ERR_FRAME_TOO_LARGE);
    assert_int_equal(small.len, 1);
    buf_done(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys_are_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_text_starts_a_line_or_moves_a_cursor, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_that_are_no_characters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_texts_are_cut_at_a_character, set_up, tear_down),
        cmocka_unit_test(without_room_nothing_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
