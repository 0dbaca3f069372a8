/*
 * test_held.c - what unfinished requests may hold, by caller and in all.
 */
#include "test.h"

#include "base/base.h"
#include "serve/held.h"

static void one_caller_has_a_share_whatever_its_connections(void **state UNUSED)
{
    struct held h;
    held_init(&h);
    struct holder *a = held_join(&h, 1), *again = held_join(&h, 1), *b = held_join(&h, 2);
    assert_ptr_equal(a, again);
    assert_ptr_not_equal(a, b);

    assert_true(held_change(&h, a, 0, HELD_CALLER_MAX));
    assert_false(held_change(&h, again, 0, 1));
    assert_true(held_change(&h, b, 0, 1)); /* another's share is its own */
    assert_true(held_change(&h, again, 1, 0));
    assert_true(held_change(&h, a, HELD_CALLER_MAX, 0));
    assert_true(held_change(&h, b, 1, 0));
    assert_int_equal(h.bytes, 0);

    held_leave(&h, a);
    assert_int_equal(h.holders.len, 2); /* it has a connection left */
    held_leave(&h, again);
    held_leave(&h, b);
    assert_int_equal(h.holders.len, 0);
}

static void all_together_have_a_bound(void **state UNUSED)
{
    enum { CALLERS = HELD_TOTAL_MAX / HELD_CALLER_MAX };
    struct held h;
    struct holder *full[CALLERS];
    held_init(&h);
    for (unsigned i = 0; i < CALLERS; i++) {
        full[i] = held_join(&h, i);
        assert_true(held_change(&h, full[i], 0, HELD_CALLER_MAX));
    }
    struct holder *late = held_join(&h, CALLERS);
    assert_false(held_change(&h, late, 0, 1));
    assert_true(held_change(&h, late, 1, 0)); /* less is always fine */
    held_leave(&h, late);
    for (unsigned i = 0; i < CALLERS; i++) {
        held_change(&h, full[i], HELD_CALLER_MAX, 0);
        held_leave(&h, full[i]);
    }
    assert_int_equal(h.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_caller_has_a_share_whatever_its_connections),
        cmocka_unit_test(all_together_have_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
