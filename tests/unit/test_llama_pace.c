/* Promises of engines/llama/pace.c, on a machine whose costs are known. */
#include "llama/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/base.h"

/* Going through the weights, what each token that is read adds, each that is written. */
enum { WEIGHTS_US = 10000, READ_US = 1300, WRITE_US = 2000 };

static int64_t cost(uint32_t writers, uint32_t n_read)
{
    int64_t us = 0;
    if (writers)
        us += WEIGHTS_US + writers * WRITE_US;
    if (n_read)
        us += WEIGHTS_US + n_read * READ_US;
    return us;
}

struct run {
    int64_t total_us;
    int64_t longest_us;
    uint32_t steps;
};

/* Read `n` tokens while `writers` write. */
static struct run read_beside(struct pace *p, uint32_t writers, uint32_t n)
{
    struct run run = { 0 };
    while (n > 0) {
        uint32_t chunk = pace_chunk(p, writers, n < 512 ? n : 512);
        int64_t us = cost(writers, chunk);
        assert_true(chunk <= n);
        pace_note(p, writers, chunk, us);
        n -= chunk;
        run.total_us += us;
        run.steps++;
        run.longest_us = us > run.longest_us ? us : run.longest_us;
        assert_true(run.steps < 100000);
    }
    return run;
}

static void set_up(struct pace *p, double slowdown)
{
    pace_init(p, slowdown);
    read_beside(p, 0, 512);
}

static void where_nobody_writes_all_is_read_at_once(void **state UNUSED)
{
    struct pace p;
    set_up(&p, 2);
    assert_int_equal(pace_chunk(&p, 0, 512), 512);
}

static void those_who_write_keep_half_their_pace(void **state UNUSED)
{
    for (uint32_t writers = 1; writers <= 16; writers *= 2) {
        struct pace p;
        set_up(&p, 2);
        read_beside(&p, writers, 200); /* finding out */
        struct run run = read_beside(&p, writers, 4000);
        double mean = (double)run.total_us / run.steps;
        assert_true(mean < 2.1 * (double)cost(writers, 0));
        assert_true(mean > 1.6 * (double)cost(writers, 0)); /* and reading gets its share */
    }
}

static void no_gap_is_longer_than_three_steps(void **state UNUSED)
{
    struct pace p;
    set_up(&p, 2);
    read_beside(&p, 2, 100);
    assert_true(read_beside(&p, 2, 4000).longest_us <= 3 * cost(2, 0));
    set_up(&p, 100);
    read_beside(&p, 2, 100);
    assert_true(read_beside(&p, 2, 4000).longest_us <= 3 * cost(2, 0));
}

static void who_will_write_in_a_moment_counts(void **state UNUSED)
{
    struct pace p;
    set_up(&p, 2);
    pace_calibrate(&p, cost(1, 0), 16, cost(16, 0));
    read_beside(&p, 1, 200);
    struct run strict = read_beside(&p, 1, 1000);
    assert_true(strict.longest_us <= 3 * cost(1, 0));

    pace_expect(&p, 16);
    struct run wide = read_beside(&p, 1, 1000);
    assert_true(wide.longest_us <= 3 * cost(16, 0));
    assert_true((double)wide.total_us / wide.steps < 2.2 * (double)cost(16, 0));
    assert_true(wide.total_us < strict.total_us * 3 / 4); /* and all are sooner done */

    pace_expect(&p, 0);
    read_beside(&p, 1, 500); /* what was earned in company is spent */
    assert_true(read_beside(&p, 1, 1000).longest_us <= 3 * cost(1, 0));
}

static void a_smaller_slowdown_is_kept_too(void **state UNUSED)
{
    struct pace p;
    set_up(&p, 1.2);
    read_beside(&p, 4, 100);
    struct run run = read_beside(&p, 4, 2000);
    assert_true((double)run.total_us / run.steps < 1.25 * (double)cost(4, 0));
}

static void after_a_quiet_stretch_a_short_prompt_is_read_at_once(void **state UNUSED)
{
    struct pace p;
    set_up(&p, 2);
    read_beside(&p, 16, 200);
    for (int i = 0; i < 10; i++)
        pace_note(&p, 16, 0, cost(16, 0));
    assert_int_equal(read_beside(&p, 16, 30).steps, 1);
}

static void one_slow_step_does_not_stop_reading_for_ever(void **state UNUSED)
{
    struct pace p;
    set_up(&p, 2);
    struct run before = read_beside(&p, 4, 1000);
    for (uint32_t n = 1; n <= 64; n *= 2)
        pace_note(&p, 4, n, cost(4, n) * 50);
    read_beside(&p, 4, 1000);
    struct run after = read_beside(&p, 4, 1000);
    assert_true(after.total_us < 2 * before.total_us);
}

static void what_can_not_be_broken_off_is_read_in_time(void **state UNUSED)
{
    struct pace p;
    pace_init(&p, 2);
    assert_true(pace_within(&p, 50000, 512) <= 16); /* nothing is known */
    set_up(&p, 2);
    uint32_t n = pace_within(&p, 50000, 512);
    assert_true(n > 20 && n * READ_US <= 50000);
    assert_int_equal(pace_within(&p, 1, 512), 1);
    assert_int_equal(pace_within(&p, 50000, 3), 3);
}

static void a_step_is_estimated(void **state UNUSED)
{
    struct pace p;
    pace_init(&p, 2);
    assert_true(pace_estimate_us(&p, 1, 100) <= 0);
    set_up(&p, 2);
    double us = pace_estimate_us(&p, 0, 512);
    assert_true(us > 0.9 * (double)cost(0, 512) && us < 1.1 * (double)cost(0, 512));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_nobody_writes_all_is_read_at_once),
        cmocka_unit_test(those_who_write_keep_half_their_pace),
        cmocka_unit_test(no_gap_is_longer_than_three_steps),
        cmocka_unit_test(who_will_write_in_a_moment_counts),
        cmocka_unit_test(a_smaller_slowdown_is_kept_too),
        cmocka_unit_test(after_a_quiet_stretch_a_short_prompt_is_read_at_once),
        cmocka_unit_test(one_slow_step_does_not_stop_reading_for_ever),
        cmocka_unit_test(what_can_not_be_broken_off_is_read_in_time),
        cmocka_unit_test(a_step_is_estimated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
