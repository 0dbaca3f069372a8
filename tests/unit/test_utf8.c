/*
 * test_utf8.c - which bytes are characters, however they arrive.
 */
#include "test.h"

#include <string.h>

#include "base/base.h"
#include "base/utf8.h"

/* Whole, and in all pairs of pieces. */
static void expect(const char *bytes, bool want)
{
    size_t n = strlen(bytes);
    for (size_t cut = 0; cut <= n; cut++) {
        struct utf8 u = { 0 };
        bool ok =
            utf8_feed(&u, bytes, cut) && utf8_feed(&u, bytes + cut, n - cut) && utf8_complete(&u);
        if (ok != want)
            fail_msg("'%s' cut at %zu is %s", bytes, cut, ok ? "taken" : "refused");
    }
}

static void characters_of_every_length_are_fine(void **state UNUSED)
{
    expect("", true);
    expect("plain", true);
    expect("much longer than a word of eight bytes", true);
    expect("\xC2\x80 \xDF\xBF", true);                 /* U+80, U+7FF */
    expect("\xE0\xA0\x80 \xEF\xBF\xBF", true);         /* U+800, U+FFFF */
    expect("\xED\x9F\xBF \xEE\x80\x80", true);         /* around the surrogates */
    expect("\xF0\x90\x80\x80 \xF4\x8F\xBF\xBF", true); /* U+10000, U+10FFFF */
    expect("0123456\xC3\xBC", true);                   /* across the eighth byte */
}

static void what_stands_alone_is_refused(void **state UNUSED)
{
    expect("\x80", false);
    expect("a\xBF", false);
    expect("01234567\x80", false);
    expect("\xC3 ", false);
    expect("\xE2\x82 ", false);
    expect("\xF0\x9F\x98 ", false);
    expect("\xC3\xC3\xBC", false);
}

static void what_is_cut_short_is_not_complete(void **state UNUSED)
{
    expect("\xC3", false);
    expect("a\xE2\x82", false);
    expect("\xF0\x9F\x98", false);
}

static void overlong_forms_are_refused(void **state UNUSED)
{
    expect("\xC0\x80", false);
    expect("\xC1\xBF", false);
    expect("\xE0\x9F\xBF", false);
    expect("\xF0\x8F\xBF\xBF", false);
}

static void surrogates_and_what_is_above_unicode_are_refused(void **state UNUSED)
{
    expect("\xED\xA0\x80", false);
    expect("\xED\xBF\xBF", false);
    expect("\xF4\x90\x80\x80", false);
    expect("\xF5\x80\x80\x80", false);
    expect("\xFE", false);
    expect("\xFF", false);
}

/* An encoder written the other way round agrees about every code point. */
static void every_code_point_is_judged_right(void **state UNUSED)
{
    for (uint32_t c = 1; c < 0x200000; c++) {
        char s[5] = { 0 };
        if (c < 0x80) {
            s[0] = (char)c;
        } else if (c < 0x800) {
            s[0] = (char)(0xC0 | c >> 6);
            s[1] = (char)(0x80 | (c & 63));
        } else if (c < 0x10000) {
            s[0] = (char)(0xE0 | c >> 12);
            s[1] = (char)(0x80 | (c >> 6 & 63));
            s[2] = (char)(0x80 | (c & 63));
        } else {
            s[0] = (char)(0xF0 | c >> 18);
            s[1] = (char)(0x80 | (c >> 12 & 63));
            s[2] = (char)(0x80 | (c >> 6 & 63));
            s[3] = (char)(0x80 | (c & 63));
        }
        struct utf8 u = { 0 };
        bool ok = utf8_feed(&u, s, strlen(s)) && utf8_complete(&u);
        bool want = c < 0xD800 || (c > 0xDFFF && c < 0x110000);
        if (ok != want)
            fail_msg("U+%X is %s", c, ok ? "taken" : "refused");
    }
}

static void expect_whole(const char *bytes, size_t want)
{
    assert_int_equal(utf8_whole(bytes, strlen(bytes)), want);
}

static void half_a_character_at_the_end_is_left_out(void **state UNUSED)
{
    expect_whole("", 0);
    expect_whole("abc", 3);
    expect_whole("abc\xC3", 3);
    expect_whole("abc\xC3\xBC", 5);
    expect_whole("a\xE2", 1);
    expect_whole("a\xE2\x82", 1);
    expect_whole("a\xE2\x82\xAC", 4);
    expect_whole("a\xF0\x9F\x98", 1);
    expect_whole("a\xF0\x9F\x98\x80", 5);
    expect_whole("\xF0\x9F", 0);
}

static void expect_scrubbed(const char *bytes, const char *want)
{
    char s[64];
    strcpy(s, bytes);
    utf8_scrub(s, strlen(s));
    assert_string_equal(s, want);
}

static void scrubbing_leaves_characters_alone(void **state UNUSED)
{
    expect_scrubbed("", "");
    expect_scrubbed("a\xC3\xBC\xE2\x82\xAC\xF0\x9F\x98\x80z",
                    "a\xC3\xBC\xE2\x82\xAC\xF0\x9F\x98\x80z");
}

static void scrubbing_marks_every_byte_that_is_none(void **state UNUSED)
{
    expect_scrubbed("a\xFFz", "a?z");
    expect_scrubbed("\xE2\x82", "??");
    expect_scrubbed("\xE2\x82z", "??z");
    expect_scrubbed("\xF0\x9F\xC3\xBC", "??\xC3\xBC");
    expect_scrubbed("\xED\xA0\x80", "???");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_of_every_length_are_fine),
        cmocka_unit_test(what_stands_alone_is_refused),
        cmocka_unit_test(what_is_cut_short_is_not_complete),
        cmocka_unit_test(overlong_forms_are_refused),
        cmocka_unit_test(surrogates_and_what_is_above_unicode_are_refused),
        cmocka_unit_test(every_code_point_is_judged_right),
        cmocka_unit_test(half_a_character_at_the_end_is_left_out),
        cmocka_unit_test(scrubbing_leaves_characters_alone),
        cmocka_unit_test(scrubbing_marks_every_byte_that_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
