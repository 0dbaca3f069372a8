/*
 * test_buf.c - bytes that grow, up to a ceiling.
 */
#include "test.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"

static void assert_holds(const struct buf *b, const char *want)
{
    assert_int_equal(b->len, strlen(want));
    assert_memory_equal(b->at, want, strlen(want));
}

static void what_is_appended_is_there(void **state UNUSED)
{
    struct buf b;
    buf_init(&b, 100);
    assert_int_equal(buf_append(&b, "one", 3), OK);
    assert_int_equal(buf_append_str(&b, " two"), OK);
    assert_int_equal(buf_printf(&b, " %s %d", "three", 4), OK);
    assert_holds(&b, "one two three 4");
    buf_done(&b);
}

static void it_grows_by_any_steps(void **state UNUSED)
{
    struct buf b;
    buf_init(&b, 100000);
    for (size_t i = 0; i < 100000; i++)
        assert_int_equal(buf_append(&b, &(char){ (char)i }, 1), OK);
    for (size_t i = 0; i < 100000; i++)
        assert_int_equal(b.at[i], (char)i);
    buf_done(&b);
}

static void exactly_the_ceiling_fits(void **state UNUSED)
{
    for (size_t max = 0; max < 600; max++) {
        char bytes[600] = { 0 };
        struct buf b;
        buf_init(&b, max);
        assert_int_equal(buf_append(&b, bytes, max), OK);
        assert_true(b.cap <= max);
        assert_int_equal(buf_append(&b, "x", 1), ERR_FRAME_TOO_LARGE);
        assert_int_equal(b.len, max);
        buf_done(&b);
    }
}

static void a_refusal_changes_nothing(void **state UNUSED)
{
    struct buf b;
    buf_init(&b, 8);
    assert_int_equal(buf_append_str(&b, "12345"), OK);
    assert_int_equal(buf_append_str(&b, "6789"), ERR_FRAME_TOO_LARGE);
    assert_int_equal(buf_printf(&b, "%d", 6789), ERR_FRAME_TOO_LARGE);
    assert_int_equal(buf_reserve(&b, SIZE_MAX), ERR_FRAME_TOO_LARGE);
    assert_holds(&b, "12345");
    buf_done(&b);
}

static void printed_text_needs_no_room_beforehand(void **state UNUSED)
{
    struct buf b;
    buf_init(&b, 10000);
    char want[3001] = "";
    for (int i = 0; i < 3000; i++) { /* in steps that meet every end of the memory */
        assert_int_equal(buf_printf(&b, "%d", i % 10), OK);
        want[i] = (char)('0' + i % 10);
    }
    assert_holds(&b, want);
    buf_done(&b);
}

static void consuming_slides_the_rest_to_the_front(void **state UNUSED)
{
    struct buf b;
    buf_init(&b, 100);
    assert_int_equal(buf_append_str(&b, "0123456789"), OK);
    buf_consume(&b, 0);
    assert_holds(&b, "0123456789");
    buf_consume(&b, 4);
    assert_holds(&b, "456789");
    buf_consume(&b, 6);
    assert_int_equal(b.len, 0);
    buf_done(&b);
}

static void stolen_bytes_are_the_thief_s(void **state UNUSED)
{
    struct buf b;
    buf_init(&b, 8);
    assert_int_equal(buf_append_str(&b, "loot"), OK);
    size_t len = 0;
    char *loot = buf_steal(&b, &len);
    assert_int_equal(len, 4);
    assert_memory_equal(loot, "loot", 4);
    assert_int_equal(b.len, 0);
    assert_int_equal(buf_append_str(&b, "again"), OK);
    assert_int_equal(buf_append_str(&b, "more"), ERR_FRAME_TOO_LARGE); /* the same ceiling */
    buf_done(&b);
    free(loot);
}

static void what_is_done_is_usable_again(void **state UNUSED)
{
    struct buf b;
    buf_init(&b, 8);
    assert_int_equal(buf_append_str(&b, "one"), OK);
    buf_done(&b);
    assert_int_equal(buf_append_str(&b, "two"), OK);
    assert_holds(&b, "two");
    buf_clear(&b);
    assert_int_equal(b.len, 0);
    buf_done(&b);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_appended_is_there),
        cmocka_unit_test(it_grows_by_any_steps),
        cmocka_unit_test(exactly_the_ceiling_fits),
        cmocka_unit_test(a_refusal_changes_nothing),
        cmocka_unit_test(printed_text_needs_no_room_beforehand),
        cmocka_unit_test(consuming_slides_the_rest_to_the_front),
        cmocka_unit_test(stolen_bytes_are_the_thief_s),
        cmocka_unit_test(what_is_done_is_usable_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
