/*
 * test_deaths.c - when an engine is started again, and when not any more.
 */
#include "test.h"

#include "base/base.h"
#include "link/deaths.h"

enum { NEVER = -1 };

static void pauses_double_up_to_a_limit(void **state UNUSED)
{
    static const int64_t want[] = {
        100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000
    };
    struct deaths d = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        deaths_count(&d, SETTLED_MS, true);
        assert_int_equal(deaths_pause_ms(&d), want[i]);
    }
    for (int i = 0; i < 100000; i++)
        deaths_count_shortage(&d);
    assert_int_equal(deaths_pause_ms(&d), PAUSE_MAX_MS);
}

static void who_was_steady_begins_anew(void **state UNUSED)
{
    struct deaths d = { 0 };
    for (int i = 0; i < 6; i++)
        deaths_count(&d, 0, true);
    deaths_count(&d, STEADY_MS - 1, true);
    assert_int_equal(deaths_pause_ms(&d), 6400);
    deaths_count(&d, STEADY_MS, true);
    assert_int_equal(deaths_pause_ms(&d), PAUSE_FIRST_MS);
}

static void who_never_gets_ready_is_given_up(void **state UNUSED)
{
    struct deaths d = { 0 };
    for (int i = 1; i < START_DEATHS_MAX; i++)
        deaths_count(&d, NEVER, true);
    assert_false(deaths_are_a_loop(&d));
    deaths_note_ready(&d);
    deaths_count(&d, SETTLED_MS, true);
    for (int i = 1; i < START_DEATHS_MAX; i++)
        deaths_count(&d, NEVER, true);
    assert_false(deaths_are_a_loop(&d));
    deaths_count(&d, NEVER, true);
    assert_true(deaths_are_a_loop(&d));
}

static void so_is_who_dies_soon_after_each_time(void **state UNUSED)
{
    struct deaths d = { 0 };
    for (int i = 1; i < SOON_DEATHS_MAX; i++) {
        deaths_note_ready(&d);
        deaths_count(&d, SETTLED_MS - 1, true);
    }
    assert_false(deaths_are_a_loop(&d));
    deaths_count(&d, 0, true);
    assert_true(deaths_are_a_loop(&d));
}

static void who_had_settled_was_in_no_loop(void **state UNUSED)
{
    struct deaths d = { 0 };
    for (int i = 0; i < 1000; i++) {
        deaths_note_ready(&d);
        deaths_count(&d, i % 4 ? 0 : SETTLED_MS, true);
        assert_false(deaths_are_a_loop(&d));
    }
}

static void what_others_did_to_it_makes_no_loop(void **state UNUSED)
{
    struct deaths d = { 0 };
    for (int i = 0; i < 1000; i++) {
        deaths_note_ready(&d);
        deaths_count(&d, 0, false);
    }
    assert_false(deaths_are_a_loop(&d));
    assert_int_equal(deaths_pause_ms(&d), PAUSE_MAX_MS);
}

static void being_short_of_something_is_no_death(void **state UNUSED)
{
    struct deaths d = { 0 };
    for (int i = 0; i < 1000; i++)
        deaths_count_shortage(&d);
    assert_false(deaths_are_a_loop(&d));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_double_up_to_a_limit),
        cmocka_unit_test(who_was_steady_begins_anew),
        cmocka_unit_test(who_never_gets_ready_is_given_up),
        cmocka_unit_test(so_is_who_dies_soon_after_each_time),
        cmocka_unit_test(who_had_settled_was_in_no_loop),
        cmocka_unit_test(what_others_did_to_it_makes_no_loop),
        cmocka_unit_test(being_short_of_something_is_no_death),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
