/*
 * test_admit.c - when to come back.
 */
#include "test.h"

#include "core/core.h"

static void without_experience_it_is_a_second(void **state UNUSED)
{
    assert_int_equal(core_retry_after_ms(0, 0, 1), 1000);
    assert_int_equal(core_retry_after_ms(0, 1000, 0), 1000);
}

static void half_the_queue_is_waited_for(void **state UNUSED)
{
    assert_int_equal(core_retry_after_ms(2000000, 0, 1), 2000);
    assert_int_equal(core_retry_after_ms(2000000, 10, 1), 12000);
    assert_int_equal(core_retry_after_ms(2000000, 10, 4), 3000);
    assert_int_equal(core_retry_after_ms(2000000, 10, 0), 12000); /* nobody is served now */
}

static void it_is_within_bounds(void **state UNUSED)
{
    assert_int_equal(core_retry_after_ms(1, 0, 1000), 50);
    assert_int_equal(core_retry_after_ms(INT64_MAX, SIZE_MAX, 1), 60000);
}

static void the_last_requests_weigh_most(void **state UNUSED)
{
    struct core core = { 0 };
    core_note_served(&core, 800);
    assert_int_equal(core.service_us, 800);
    core_note_served(&core, 0);
    assert_int_equal(core.service_us, 700);
    for (int i = 0; i < 100; i++)
        core_note_served(&core, 1000000);
    assert_in_range(core.service_us, 999000, 1000000);
    for (int i = 0; i < 1000; i++)
        core_note_served(&core, 0);
    assert_true(core.service_us > 0); /* known, however short */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_experience_it_is_a_second),
        cmocka_unit_test(half_the_queue_is_waited_for),
        cmocka_unit_test(it_is_within_bounds),
        cmocka_unit_test(the_last_requests_weigh_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
