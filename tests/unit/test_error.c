/*
 * test_error.c - a code for the program, a sentence for the person.
 */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"

static void failing_is_one_statement(void **state UNUSED)
{
    struct error error;
    assert_int_equal(fail(&error, ERR_BUSY, "'%s' is %d", "x", 5), ERR_BUSY);
    assert_int_equal(error.code, ERR_BUSY);
    assert_string_equal(error.message, "'x' is 5");
    assert_int_equal(fail_nomem(&error), ERR_NO_MEMORY);
    assert_int_equal(error.code, ERR_NO_MEMORY);
}

static void nobody_need_want_the_sentence(void **state UNUSED)
{
    assert_int_equal(fail(NULL, ERR_BUSY, "x"), ERR_BUSY);
    assert_int_equal(fail_sys(NULL, "x"), ERR_SYSTEM);
    assert_int_equal(fail_nomem(NULL), ERR_NO_MEMORY);
}

static void a_system_call_s_reason_stands_behind(void **state UNUSED)
{
    struct error error;
    errno = ENOENT;
    assert_int_equal(fail_sys(&error, "cannot open '%s'", "f"), ERR_SYSTEM);
    assert_string_equal(error.message, "cannot open 'f': No such file or directory");
}

static void a_message_can_be_put_into_its_successor(void **state UNUSED)
{
    struct error error;
    fail(&error, ERR_CONFIG, "bad key");
    assert_int_equal(fail(&error, error.code, "%s in '%s'", error.message, "f"), ERR_CONFIG);
    assert_string_equal(error.message, "bad key in 'f'");
}

static void assert_utf8(const struct error *error)
{
    struct utf8 u = { 0 };
    assert_true(utf8_feed(&u, error->message, strlen(error->message)));
    assert_true(utf8_complete(&u));
}

static void long_messages_end_with_a_whole_character(void **state UNUSED)
{
    char text[700];
    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'x', shift);
        for (size_t i = shift; i + 4 < sizeof text; i += 4)
            memcpy(text + i, "\xF0\x9F\x98\x80", 5);
        struct error error;
        fail(&error, ERR_BUSY, "%s", text);
        size_t len = strlen(error.message);
        assert_true(len < ERROR_MESSAGE_MAX && len > ERROR_MESSAGE_MAX - 5);
        assert_int_equal((len - shift) % 4, 0);
        assert_null(strchr(error.message, '?'));
        assert_utf8(&error);
    }
}

static void the_longest_message_is_not_cut(void **state UNUSED)
{
    char text[ERROR_MESSAGE_MAX + 1] = { 0 };
    struct error error;
    memset(text, 'x', ERROR_MESSAGE_MAX - 1);
    fail(&error, ERR_BUSY, "%s", text);
    assert_string_equal(error.message, text);
    memset(text, 'x', ERROR_MESSAGE_MAX);
    fail(&error, ERR_BUSY, "%s", text);
    assert_int_equal(strlen(error.message), ERROR_MESSAGE_MAX - 1);
}

static void whatever_is_in_a_message_it_is_utf8(void **state UNUSED)
{
    struct error error;
    fail(&error, ERR_BUSY, "'%.3s' and '%s'", "ab\xC3\xBC", "\xFF-\xFE");
    assert_string_equal(error.message, "'ab?' and '?-?'");
}

static void names_and_codes_agree(void **state UNUSED)
{
    static const enum err on_the_wire[] = { ERR_INVALID_REQUEST, ERR_FRAME_TOO_LARGE,
                                            ERR_QUEUE_FULL, ERR_BACKEND_UNAVAILABLE, ERR_INTERNAL };
    for (size_t i = 0; i < ARRAY_LEN(on_the_wire); i++) {
        enum err code;
        assert_true(error_from_wire_name(error_wire_name(on_the_wire[i]), &code));
        assert_int_equal(code, on_the_wire[i]);
    }
    assert_string_equal(error_wire_name(ERR_QUEUE_FULL), "queue_full");
    assert_string_equal(error_wire_name(OK), "ok");
}

static void what_a_client_has_no_use_for_is_internal(void **state UNUSED)
{
    assert_string_equal(error_wire_name(ERR_NO_MEMORY), "internal");
    assert_string_equal(error_wire_name(ERR_MISMATCH), "internal");
}

static void names_that_are_none_are_none(void **state UNUSED)
{
    enum err code = ERR_BUSY;
    assert_false(error_from_wire_name("ok", &code));
    assert_false(error_from_wire_name("", &code));
    assert_false(error_from_wire_name("queue_ful", &code));
    assert_int_equal(code, ERR_BUSY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing_is_one_statement),
        cmocka_unit_test(nobody_need_want_the_sentence),
        cmocka_unit_test(a_system_call_s_reason_stands_behind),
        cmocka_unit_test(a_message_can_be_put_into_its_successor),
        cmocka_unit_test(long_messages_end_with_a_whole_character),
        cmocka_unit_test(the_longest_message_is_not_cut),
        cmocka_unit_test(whatever_is_in_a_message_it_is_utf8),
        cmocka_unit_test(names_and_codes_agree),
        cmocka_unit_test(what_a_client_has_no_use_for_is_internal),
        cmocka_unit_test(names_that_are_none_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
