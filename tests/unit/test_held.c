/*
 * test_held.c - what unfinished requests may hold, by user and in all.
 */
#include "test.h"

#include "base/base.h"
#include "serve/held.h"

static void a_user_has_a_share(void **state UNUSED)
{
    struct held h = { 0 };
    struct user a = { .uid = 1 }, b = { .uid = 2 };
    assert_true(held_change(&h, &a, 0, HELD_USER_MAX));
    assert_false(held_change(&h, &a, 0, 1)); /* by another connection */
    assert_true(held_change(&h, &b, 0, 1));  /* another's share is its own */
    assert_true(held_change(&h, &a, 1, 0));
    assert_true(held_change(&h, &a, HELD_USER_MAX, 0));
    assert_true(held_change(&h, &b, 1, 0));
    assert_int_equal(h.bytes, 0);
    assert_int_equal(a.held, 0);
}

static void all_together_have_a_bound(void **state UNUSED)
{
    enum { USERS = HELD_TOTAL_MAX / HELD_USER_MAX };
    struct held h = { 0 };
    struct user full[USERS] = { 0 }, late = { 0 };
    for (unsigned i = 0; i < USERS; i++)
        assert_true(held_change(&h, &full[i], 0, HELD_USER_MAX));
    assert_false(held_change(&h, &late, 0, 1));
    assert_true(held_change(&h, &late, 1, 0)); /* less is always fine */
    for (unsigned i = 0; i < USERS; i++)
        assert_true(held_change(&h, &full[i], HELD_USER_MAX, 0));
    assert_int_equal(h.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_user_has_a_share),
        cmocka_unit_test(all_together_have_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
