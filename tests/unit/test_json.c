/*
 * test_json.c - strict values in, compact text out, and sentences for what is wrong.
 */
#include "test.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

static json_t *parsed(const char *text)
{
    struct error error;
    json_t *root = NULL;
    if (json_read(text, strlen(text), &root, &error))
        fail_msg("%s: %s", text, error.message);
    return root;
}

static void any_single_value_is_read(void **state UNUSED)
{
    static const char *const texts[] = { "{}", "[]", "5", "\"x\"", "true", "null", " {} \n" };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        json_decref(parsed(texts[i]));
}

static void what_is_not_strict_is_refused(void **state UNUSED)
{
    static const char *const texts[] = {
        "",
        "{",
        "{}{}",
        "{} x",
        "{'a':1}",
        "{\"a\":1,}",
        "[1,]",
        "01",
        "nul",
        "\"\\x\"",
        "\"\xFF\"",
        "\"a\nb\"",
        "{\"a\":1,\"a\":2}",
        "1e999",
        "\"\\u0000\"",
        "99999999999999999999",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct error error = { 0 };
        json_t *root = NULL;
        enum err e = json_read(texts[i], strlen(texts[i]), &root, &error);
        if (e != ERR_PROTOCOL || root)
            fail_msg("%s was taken", texts[i]);
        assert_non_null(strstr(error.message, "not valid JSON"));
    }
}

/* --- members --------------------------------------------------------------- */

static void members_are_read(void **state UNUSED)
{
    CLEANUP(json_drop)
    json_t *o =
        parsed("{\"i\":-5,\"u\":7,\"w\":9000000000,\"d\":0.5,\"n\":3,\"b\":true,\"s\":\"x\"}");
    int64_t i = 0;
    uint32_t u = 0;
    uint64_t w = 0;
    double d = 0, n = 0;
    bool b = false;
    const char *s = NULL;
    assert_int_equal(json_get_int(o, "i", -10, 10, &i, NULL), OK);
    assert_int_equal(json_get_u32(o, "u", 0, 10, &u, NULL), OK);
    assert_int_equal(json_get_u64(o, "w", &w, NULL), OK);
    assert_int_equal(json_get_double(o, "d", 0, 1, &d, NULL), OK);
    assert_int_equal(json_get_double(o, "n", 0, 5, &n, NULL), OK);
    assert_int_equal(json_get_bool(o, "b", &b, NULL), OK);
    assert_int_equal(json_get_string(o, "s", &s, NULL), OK);
    assert_int_equal(i, -5);
    assert_int_equal(u, 7);
    assert_int_equal(w, 9000000000);
    assert_true(d == 0.5 && n == 3 && b);
    assert_string_equal(s, "x");
}

static void what_is_absent_or_null_leaves_the_default(void **state UNUSED)
{
    static const char *const texts[] = { "{}", "{\"x\":null}" };
    for (size_t t = 0; t < ARRAY_LEN(texts); t++) {
        CLEANUP(json_drop) json_t *o = parsed(texts[t]);
        int64_t i = 1;
        uint32_t u = 2;
        uint64_t w = UINT64_MAX;
        double d = 4;
        bool b = true;
        const char *s = "five";
        assert_int_equal(json_get_int(o, "x", 0, 0, &i, NULL), OK);
        assert_int_equal(json_get_u32(o, "x", 0, 0, &u, NULL), OK);
        assert_int_equal(json_get_u64(o, "x", &w, NULL), OK);
        assert_int_equal(json_get_double(o, "x", 0, 0, &d, NULL), OK);
        assert_int_equal(json_get_bool(o, "x", &b, NULL), OK);
        assert_int_equal(json_get_string(o, "x", &s, NULL), OK);
        assert_true(i == 1 && u == 2 && w == UINT64_MAX && d == 4 && b);
        assert_string_equal(s, "five");
    }
}

static void a_wrong_type_is_told_by_name(void **state UNUSED)
{
    static const char *const values[] = { "{}", "[]", "\"5\"", "1.5", "true" };
    static const char *const names[] = { "an object", "an array", "a string", "a fraction",
                                         "a boolean" };
    for (size_t v = 0; v < ARRAY_LEN(values); v++) {
        char text[32], want[64];
        snprintf(text, sizeof text, "{\"x\":%s}", values[v]);
        snprintf(want, sizeof want, "x must be a whole number, not %s", names[v]);
        CLEANUP(json_drop) json_t *o = parsed(text);
        struct error error;
        int64_t i = 1;
        assert_int_equal(json_get_int(o, "x", 0, 9, &i, &error), ERR_PROTOCOL);
        assert_string_equal(error.message, want);
        assert_int_equal(i, 1);
    }
    CLEANUP(json_drop) json_t *o = parsed("{\"x\":5}");
    struct error error;
    bool b = false;
    const char *s = NULL;
    assert_int_equal(json_get_bool(o, "x", &b, &error), ERR_PROTOCOL);
    assert_string_equal(error.message, "x must be true or false, not a whole number");
    assert_int_equal(json_get_string(o, "x", &s, &error), ERR_PROTOCOL);
    assert_null(s);
}

static void limits_are_inclusive_and_named(void **state UNUSED)
{
    CLEANUP(json_drop) json_t *o = parsed("{\"x\":5,\"y\":-1,\"z\":1.25}");
    struct error error;
    int64_t i = 0;
    uint32_t u = 0;
    uint64_t w = 0;
    double d = 0;
    assert_int_equal(json_get_int(o, "x", 5, 5, &i, &error), OK);
    assert_int_equal(json_get_int(o, "x", 6, 9, &i, &error), ERR_INVALID_REQUEST);
    assert_string_equal(error.message, "x is 5; it must be from 6 to 9");
    assert_int_equal(json_get_u32(o, "x", 0, 4, &u, &error), ERR_INVALID_REQUEST);
    assert_int_equal(json_get_u32(o, "y", 0, 4, &u, &error), ERR_INVALID_REQUEST);
    assert_int_equal(json_get_u64(o, "y", &w, &error), ERR_INVALID_REQUEST);
    assert_int_equal(json_get_double(o, "z", 1.25, 2, &d, &error), OK);
    assert_int_equal(json_get_double(o, "z", 0, 1, &d, &error), ERR_INVALID_REQUEST);
    assert_string_equal(error.message, "z is 1.25; it must be from 0 to 1");
    assert_true(u == 0 && w == 0);
}

/* --- writing --------------------------------------------------------------- */

static void values_are_written_compactly(void **state UNUSED)
{
    CLEANUP(json_drop) json_t *o = parsed("{ \"a\" : [ 1, 2.5, \"x\" ], \"b\" : null }");
    struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(buf_append_str(&b, "<"), OK);
    assert_int_equal(json_put(&b, o), OK);
    assert_int_equal(buf_append_str(&b, ">"), OK);
    assert_int_equal(b.len, strlen("<{\"a\":[1,2.5,\"x\"],\"b\":null}>"));
    assert_memory_equal(b.at, "<{\"a\":[1,2.5,\"x\"],\"b\":null}>", b.len);
    buf_done(&b);
}

static void assert_written(const char *bytes, size_t len, const char *want)
{
    struct buf b;
    buf_init(&b, 10000);
    assert_int_equal(json_put_string(&b, bytes, len), OK);
    assert_int_equal(b.len, strlen(want));
    assert_memory_equal(b.at, want, b.len);

    /* The same in two pieces between quotes. */
    for (size_t cut = 0; cut <= len; cut++) {
        buf_clear(&b);
        assert_int_equal(buf_append_str(&b, "\""), OK);
        assert_int_equal(json_put_escaped(&b, bytes, cut), OK);
        assert_int_equal(json_put_escaped(&b, bytes + cut, len - cut), OK);
        assert_int_equal(buf_append_str(&b, "\""), OK);
        assert_int_equal(b.len, strlen(want));
        assert_memory_equal(b.at, want, b.len);
    }
    buf_done(&b);
}

static void strings_are_escaped_as_far_as_they_must(void **state UNUSED)
{
    assert_written("", 0, "\"\"");
    assert_written("plain", 5, "\"plain\"");
    assert_written("a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\"");
    assert_written("\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\"");
    assert_written("\x01\x1f\x7f", 3, "\"\\u0001\\u001f\x7f\"");
    assert_written("\0", 1, "\"\\u0000\"");
    assert_written("\xC3\xBC\xF0\x9F\x98\x80", 6, "\"\xC3\xBC\xF0\x9F\x98\x80\"");
}

/* Whatever is written is read as what it was. */
static void every_ascii_character_survives(void **state UNUSED)
{
    char all[127];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (char)(i + 1);
    struct buf b;
    buf_init(&b, 10000);
    assert_int_equal(json_put_string(&b, all, sizeof all), OK);
    struct error error;
    json_t *back = NULL;
    assert_int_equal(json_read(b.at, b.len, &back, &error), OK);
    assert_int_equal(json_string_length(back), sizeof all);
    assert_memory_equal(json_string_value(back), all, sizeof all);
    json_decref(back);
    buf_done(&b);
}

static void what_does_not_fit_leaves_nothing_behind(void **state UNUSED)
{
    CLEANUP(json_drop) json_t *o = parsed("[1,2,3,4,5,6,7,8,9]");
    struct buf b;
    buf_init(&b, 8);
    assert_int_equal(buf_append_str(&b, "12"), OK);
    assert_int_equal(json_put(&b, o), ERR_FRAME_TOO_LARGE);
    assert_int_equal(json_put_string(&b, "abcdefgh", 8), ERR_FRAME_TOO_LARGE);
    assert_int_equal(json_put_string(&b, "abcde", 5), ERR_FRAME_TOO_LARGE); /* the last quote */
    assert_int_equal(json_put_escaped(&b, "abc\"def", 7), ERR_FRAME_TOO_LARGE);
    assert_int_equal(b.len, 2);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_single_value_is_read),
        cmocka_unit_test(what_is_not_strict_is_refused),
        cmocka_unit_test(members_are_read),
        cmocka_unit_test(what_is_absent_or_null_leaves_the_default),
        cmocka_unit_test(a_wrong_type_is_told_by_name),
        cmocka_unit_test(limits_are_inclusive_and_named),
        cmocka_unit_test(values_are_written_compactly),
        cmocka_unit_test(strings_are_escaped_as_far_as_they_must),
        cmocka_unit_test(every_ascii_character_survives),
        cmocka_unit_test(what_does_not_fit_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
