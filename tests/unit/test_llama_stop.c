/*
 * Promises of engines/llama/stop.c.  However the text is cut into pieces, what is told is
 * the same, and nothing of it too late.
 */
#include "llama/stop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define STOPS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static struct stop *stop_with(const char *const *strings)
{
    struct slice slices[STOPS_MAX];
    struct stop *stop;
    size_t n = 0;
    for (; strings[n]; n++)
        slices[n] = (struct slice){ strings[n], strlen(strings[n]) };
    assert_int_equal(stop_new(slices, n, &stop), OK);
    return stop;
}

static size_t character(const char *at)
{
    size_t n = 1;
    while (((uint8_t)at[n] & 0xC0) == 0x80)
        n++;
    return n;
}

/* What is told of `text`, `step` characters at a time; is it `want`, and did it stop? */
static void expect_in_steps(const char *const *strings, const char *text, size_t step,
                            const char *want, bool stopped)
{
    struct stop *stop = stop_with(strings);
    struct buf told, piece;
    bool came = false;
    buf_init(&told, 10000);
    buf_init(&piece, 10000);
    while (*text && !came) {
        buf_clear(&piece);
        for (size_t i = 0; i < step && *text; i++) {
            size_t n = character(text);
            assert_int_equal(buf_append(&piece, text, n), OK);
            text += n;
        }
        assert_int_equal(stop_filter(stop, &piece, &came), OK);
        if (piece.len)
            assert_int_not_equal((uint8_t)piece.at[0] & 0xC0, 0x80);
        assert_int_equal(buf_append(&told, piece.at, piece.len), OK);
    }
    if (!came)
        assert_int_equal(stop_rest(stop, &told), OK);
    assert_int_equal(buf_append(&told, "", 1), OK);
    assert_string_equal(told.at, want);
    assert_int_equal(came, stopped);
    buf_done(&told);
    buf_done(&piece);
    stop_free(stop);
}

static void expect(const char *const *strings, const char *text, const char *want, bool stopped)
{
    for (size_t step = 1; step <= strlen(text); step++)
        expect_in_steps(strings, text, step, want, stopped);
}

static void the_answer_ends_before_the_string(void **state UNUSED)
{
    expect(STOPS("END"), "all that counts END and more", "all that counts ", true);
    expect(STOPS("END"), "END", "", true);
    expect(STOPS("a"), "bbba", "bbb", true);
}

static void nothing_is_lost_if_none_comes(void **state UNUSED)
{
    expect(STOPS("END"), "no such thing", "no such thing", false);
    expect(STOPS("END"), "almost: EN", "almost: EN", false);
    expect(STOPS("END"), "EEENEN", "EEENEN", false);
    expect(STOPS("\n\n", "\n---"), "a\nb\n--\n", "a\nb\n--\n", false);
}

static void a_string_may_begin_inside_its_own_beginning(void **state UNUSED)
{
    expect(STOPS("aab"), "aaaab", "aa", true);
    expect(STOPS("abcabd"), "abcabcabd", "abc", true);
    expect(STOPS("aaaa"), "aaabaaaa", "aaab", true);
    expect(STOPS("\n\nUser:"), "hi\n\n\nUser:", "hi\n", true);
}

static void the_string_that_is_complete_first_counts(void **state UNUSED)
{
    expect(STOPS("abcd", "bc"), "xabcd", "xa", true);
    expect(STOPS("bc", "abcd"), "xabcd", "xa", true);
    expect(STOPS("abc", "bc"), "xabc", "x", true);
    expect(STOPS("bc", "abc"), "xabc", "x", true);
    expect(STOPS("abx", "bcx"), "abcx", "a", true);
    expect(STOPS("STOP", "ST"), "x STOP", "x ", true);
}

static void beginnings_of_several_strings_are_held_back_together(void **state UNUSED)
{
    expect(STOPS("abcde", "cdx"), "abcdx", "ab", true);
    expect(STOPS("abcde", "cdx"), "abcdy", "abcdy", false);
    expect(STOPS("<|im_end|>", "<|im_start|>", "<|end"), "a<|im_stop", "a<|im_stop", false);
    expect(STOPS("<|im_end|>", "<|im_start|>", "<|end"), "a<|im_<|end|>", "a<|im_", true);
}

static void characters_stay_whole(void **state UNUSED)
{
    expect(STOPS("\xC3\xA9"), "caf\xC3\xA8 caf\xC3\xA9!", "caf\xC3\xA8 caf", true);
    expect(STOPS("\xE2\x82\xAC\xE2\x82\xAC"), "\xE2\x82\xAC \xE2\x82\xAC",
           "\xE2\x82\xAC \xE2\x82\xAC", false);
    expect(STOPS("\xF0\x9F\x98\x80x"), "\xF0\x9F\x98\x80\xF0\x9F\x98\x80x", "\xF0\x9F\x98\x80",
           true);
}

static void what_can_not_become_one_is_told_at_once(void **state UNUSED)
{
    struct stop *stop = stop_with(STOPS("END", "\n\n"));
    struct buf text;
    bool came;
    buf_init(&text, 100);
    static const struct {
        const char *piece, *told;
    } steps[] = {
        { "a", "a" },   { "bE", "b" }, { "", "" },    { "N", "" },
        { "x", "ENx" }, { "\n", "" },  { "E", "\n" }, { " ", "E " },
    };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        buf_clear(&text);
        assert_int_equal(buf_append_str(&text, steps[i].piece), OK);
        assert_int_equal(stop_filter(stop, &text, &came), OK);
        assert_false(came);
        assert_int_equal(text.len, strlen(steps[i].told));
        assert_memory_equal(text.at, steps[i].told, text.len);
    }
    buf_done(&text);
    stop_free(stop);
}

static void the_longest_strings_and_most_of_them(void **state UNUSED)
{
    char longest[STOPS_MAX][STOP_BYTES_MAX + 1];
    const char *strings[STOPS_MAX + 1] = { NULL };
    for (size_t i = 0; i < STOPS_MAX; i++) {
        memset(longest[i], 'a', STOP_BYTES_MAX);
        longest[i][STOP_BYTES_MAX - 1] = (char)('b' + i);
        longest[i][STOP_BYTES_MAX] = '\0';
        strings[i] = longest[i];
    }
    char text[600];
    memset(text, 'a', sizeof text);
    memcpy(text + 599 - 1, "q", 2);
    char want[600];
    memset(want, 'a', sizeof want);
    want[599 - STOP_BYTES_MAX] = '\0';
    expect(strings, text, want, true);
    memcpy(text + 599 - 1, "z", 2);
    expect(strings, text, text, false);
}

/* Cut the text the slow way: at the earliest end, then the earliest beginning. */
static bool cut_slowly(const char *const *strings, const char *text, char *ret)
{
    for (size_t end = 1; end <= strlen(text); end++) {
        for (size_t start = 0; start < end; start++) {
            for (size_t i = 0; strings[i]; i++) {
                size_t len = strlen(strings[i]);
                if (len == end - start && memcmp(text + start, strings[i], len) == 0) {
                    memcpy(ret, text, start);
                    ret[start] = '\0';
                    return true;
                }
            }
        }
    }
    strcpy(ret, text);
    return false;
}

static void chance_finds_no_difference_from_the_slow_way(void **state UNUSED)
{
    uint32_t seed = 1;
    for (int round = 0; round < 3000; round++) {
        char strings[3][6], text[24], want[24];
        const char *list[4] = { strings[0], strings[1], strings[2], NULL };
        for (size_t i = 0; i < 4; i++) {
            char *at = i < 3 ? strings[i] : text;
            seed = seed * 1664525 + 1013904223;
            size_t len = i < 3 ? 1 + (seed >> 16) % 5 : 1 + (seed >> 16) % 22;
            for (size_t j = 0; j < len; j++) {
                seed = seed * 1664525 + 1013904223;
                at[j] = (char)('a' + (seed >> 20) % 2);
            }
            at[len] = '\0';
        }
        bool stopped = cut_slowly(list, text, want);
        for (size_t step = 1; step <= 4; step++)
            expect_in_steps(list, text, step, want, stopped);
    }
}

static void without_strings_nothing_is_touched(void **state UNUSED)
{
    struct stop *stop;
    struct buf text;
    bool came;
    assert_int_equal(stop_new(NULL, 0, &stop), OK);
    assert_null(stop);
    buf_init(&text, 100);
    assert_int_equal(buf_append_str(&text, "abc"), OK);
    assert_int_equal(stop_filter(stop, &text, &came), OK);
    assert_int_equal(stop_rest(stop, &text), OK);
    assert_int_equal(text.len, 3);
    assert_false(came);
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_ends_before_the_string),
        cmocka_unit_test(nothing_is_lost_if_none_comes),
        cmocka_unit_test(a_string_may_begin_inside_its_own_beginning),
        cmocka_unit_test(the_string_that_is_complete_first_counts),
        cmocka_unit_test(beginnings_of_several_strings_are_held_back_together),
        cmocka_unit_test(characters_stay_whole),
        cmocka_unit_test(what_can_not_become_one_is_told_at_once),
        cmocka_unit_test(the_longest_strings_and_most_of_them),
        cmocka_unit_test(chance_finds_no_difference_from_the_slow_way),
        cmocka_unit_test(without_strings_nothing_is_touched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
