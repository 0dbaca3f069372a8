/*
 * test_breaker.c - when a backend is left alone, and when it is asked again.
 */
#include "base/base.h"
#include "core/breaker.h"
#include "test.h"

enum { SECOND = 1000 };

/* Three failures, the last at `now_ms`. */
static struct breaker tripped_at(int64_t now_ms)
{
    struct breaker b = { 0 };
    for (int i = 2; i >= 0; i--)
        breaker_ended(&b, now_ms - i * SECOND, 1, BREAKER_BAD);
    return b;
}

static void three_failures_within_a_minute_open_it(void **state UNUSED)
{
    struct breaker b = { 0 };
    assert_int_equal(breaker_state(&b, 0), BREAKER_CLOSED);
    breaker_ended(&b, 0, 1, BREAKER_BAD);
    breaker_ended(&b, 30 * SECOND, 2, BREAKER_BAD);
    assert_true(breaker_admits(&b, 60 * SECOND));
    breaker_ended(&b, 60 * SECOND, 3, BREAKER_BAD);
    assert_int_equal(breaker_state(&b, 60 * SECOND), BREAKER_OPEN);
    assert_false(breaker_admits(&b, 60 * SECOND));
}

static void failures_that_are_further_apart_do_not(void **state UNUSED)
{
    struct breaker b = { 0 };
    for (int i = 0; i < 20; i++) {
        breaker_ended(&b, i * (30 * SECOND + 1), 1, BREAKER_BAD);
        assert_true(breaker_admits(&b, i * (30 * SECOND + 1)));
    }
    /* The window slides: the last two of those and one that comes soon. */
    breaker_ended(&b, 19 * (30 * SECOND + 1) + SECOND, 1, BREAKER_BAD);
    assert_false(breaker_admits(&b, 19 * (30 * SECOND + 1) + SECOND));
}

static void a_success_forgets_failures(void **state UNUSED)
{
    struct breaker b = { 0 };
    for (int i = 0; i < 10; i++) {
        breaker_ended(&b, 0, 1, BREAKER_BAD);
        breaker_ended(&b, 0, 2, BREAKER_BAD);
        breaker_ended(&b, 0, 3, BREAKER_GOOD);
        assert_true(breaker_admits(&b, 0));
    }
}

static void what_says_nothing_changes_nothing(void **state UNUSED)
{
    struct breaker b = { 0 };
    for (int i = 0; i < 10; i++)
        breaker_ended(&b, 0, 1, BREAKER_NEITHER);
    breaker_ended(&b, 0, 1, BREAKER_BAD);
    breaker_ended(&b, 0, 1, BREAKER_BAD);
    breaker_ended(&b, 0, 1, BREAKER_NEITHER);
    assert_true(breaker_admits(&b, 0));
    breaker_ended(&b, 0, 1, BREAKER_BAD);
    assert_false(breaker_admits(&b, 0));
}

static void it_rests_for_half_a_minute(void **state UNUSED)
{
    int64_t now = 1000 * SECOND;
    struct breaker b = tripped_at(now);
    assert_int_equal(breaker_rests_ms(&b, now), 30 * SECOND);
    assert_false(breaker_admits(&b, now + 30 * SECOND - 1));
    assert_int_equal(breaker_rests_ms(&b, now + 30 * SECOND), 0);
    assert_int_equal(breaker_state(&b, now + 30 * SECOND), BREAKER_HALF_OPEN);
    assert_true(breaker_admits(&b, now + 30 * SECOND));
}

static void what_ends_while_it_is_open_began_before(void **state UNUSED)
{
    struct breaker b = tripped_at(10 * SECOND);
    breaker_ended(&b, 11 * SECOND, 7, BREAKER_GOOD);
    assert_false(breaker_admits(&b, 11 * SECOND));
    breaker_ended(&b, 39 * SECOND, 8, BREAKER_BAD); /* nor does it begin to rest anew */
    assert_true(breaker_admits(&b, 40 * SECOND));
}

static void one_probe_decides(void **state UNUSED)
{
    struct breaker b = tripped_at(0);
    breaker_began(&b, 30 * SECOND, 7);
    assert_false(breaker_admits(&b, 30 * SECOND));
    assert_int_equal(breaker_state(&b, 31 * SECOND), BREAKER_HALF_OPEN);
    breaker_ended(&b, 31 * SECOND, 7, BREAKER_GOOD);
    assert_int_equal(breaker_state(&b, 31 * SECOND), BREAKER_CLOSED);
    /* As if nothing had been. */
    breaker_ended(&b, 31 * SECOND, 8, BREAKER_BAD);
    breaker_ended(&b, 31 * SECOND, 9, BREAKER_BAD);
    assert_true(breaker_admits(&b, 31 * SECOND));
}

static void a_probe_that_fails_opens_it_again(void **state UNUSED)
{
    struct breaker b = tripped_at(0);
    breaker_began(&b, 30 * SECOND, 7);
    breaker_ended(&b, 31 * SECOND, 7, BREAKER_BAD);
    assert_false(breaker_admits(&b, 61 * SECOND - 1));
    assert_true(breaker_admits(&b, 61 * SECOND));
}

static void the_death_of_the_engine_ends_the_probe(void **state UNUSED)
{
    struct breaker b = tripped_at(0);
    breaker_began(&b, 30 * SECOND, 7);
    breaker_ended(&b, 31 * SECOND, 0, BREAKER_BAD);
    assert_false(breaker_admits(&b, 31 * SECOND));
    assert_true(breaker_admits(&b, 61 * SECOND));
}

static void a_probe_that_says_nothing_makes_room_for_another(void **state UNUSED)
{
    struct breaker b = tripped_at(0);
    breaker_began(&b, 30 * SECOND, 7);
    breaker_ended(&b, 30 * SECOND, 6, BREAKER_NEITHER); /* not the probe */
    assert_false(breaker_admits(&b, 30 * SECOND));
    breaker_ended(&b, 31 * SECOND, 7, BREAKER_NEITHER);
    assert_int_equal(breaker_state(&b, 31 * SECOND), BREAKER_HALF_OPEN);
    assert_true(breaker_admits(&b, 31 * SECOND));
}

static void an_heir_knows_the_failures_but_has_no_probe(void **state UNUSED)
{
    struct breaker b = tripped_at(0), heir = breaker_inherit(&b);
    assert_false(breaker_admits(&heir, 1));
    breaker_began(&b, 30 * SECOND, 7);
    heir = breaker_inherit(&b);
    assert_true(breaker_admits(&heir, 30 * SECOND));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_failures_within_a_minute_open_it),
        cmocka_unit_test(failures_that_are_further_apart_do_not),
        cmocka_unit_test(a_success_forgets_failures),
        cmocka_unit_test(what_says_nothing_changes_nothing),
        cmocka_unit_test(it_rests_for_half_a_minute),
        cmocka_unit_test(what_ends_while_it_is_open_began_before),
        cmocka_unit_test(one_probe_decides),
        cmocka_unit_test(a_probe_that_fails_opens_it_again),
        cmocka_unit_test(the_death_of_the_engine_ends_the_probe),
        cmocka_unit_test(a_probe_that_says_nothing_makes_room_for_another),
        cmocka_unit_test(an_heir_knows_the_failures_but_has_no_probe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
