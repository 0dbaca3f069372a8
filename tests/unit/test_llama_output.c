/* Promises of engines/llama/output.c. */
#include "llama/output.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define BAD "\xef\xbf\xbd"

/* What comes out of `bytes` when they arrive `step` at a time. */
static void expect_in_steps(const char *bytes, size_t n, size_t step, const char *want)
{
    struct output o;
    struct buf out;
    output_init(&o);
    buf_init(&out, 1024);
    for (size_t at = 0; at < n; at += step)
        assert_int_equal(output_add(&o, bytes + at, n - at < step ? n - at : step, &out), OK);
    assert_int_equal(out.len, strlen(want));
    assert_memory_equal(out.at ? out.at : "", want, out.len);
    buf_done(&out);
}

/* However a token cuts the bytes, the characters are the same. */
#define EXPECT(bytes, want)                                                                        \
    for (size_t step_ = 1; step_ < sizeof(bytes); step_++)                                         \
    expect_in_steps(bytes, sizeof(bytes) - 1, step_, want)

static void characters_come_out_whole(void **state UNUSED)
{
    EXPECT("a\xc3\xa4\xe4\xbd\xa0\xf0\x9f\x98\x80z", "aä你😀z");
}

static void what_may_become_a_character_is_held_back(void **state UNUSED)
{
    EXPECT("ab\xc3", "ab");
    EXPECT("ab\xf0\x9f\x98", "ab");
}

static void what_can_not_is_replaced(void **state UNUSED)
{
    EXPECT("\xff", BAD);
    EXPECT("a\x80"
           "b",
           "a" BAD "b");
    EXPECT("\xc0\xaf", BAD BAD);
    EXPECT("\xed\xa0\x80", BAD BAD BAD);
}

static void a_broken_character_is_one_replacement_and_the_next_is_whole(void **state UNUSED)
{
    EXPECT("\xe4\xbd"
           "x",
           BAD "x");
    EXPECT("\xf0\x9f\xc3\xa4", BAD "ä");
    EXPECT("\xe4\xff", BAD BAD);
}

static void no_nul_comes_out(void **state UNUSED)
{
    EXPECT("a\0b", "a" BAD "b");
    EXPECT("\xc3\0z", BAD BAD "z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_come_out_whole),
        cmocka_unit_test(what_may_become_a_character_is_held_back),
        cmocka_unit_test(what_can_not_is_replaced),
        cmocka_unit_test(a_broken_character_is_one_replacement_and_the_next_is_whole),
        cmocka_unit_test(no_nul_comes_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
