/* Promises of engines/llama/pace.c, on a machine whose costs are known. */
#include "llama/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/base.h"

/* Going through the weights, what each token that is read adds, each that is written. */
enum { WEIGHTS_US = 10000, READ_US = 1300, WRITE_US = 2000 };

static int64_t writing(uint32_t writers)
{
    return WEIGHTS_US + writers * WRITE_US;
}

static int64_t reading(uint32_t n)
{
    return WEIGHTS_US + n * READ_US;
}

struct run {
    int64_t total_us;
    int64_t longest_us; /* from one token of a writer to its next */
    uint32_t gaps;
};

/* Read `n` tokens while `writers` write, as the scheduler does. */
static struct run read_prompt(struct pace *p, uint32_t writers, uint32_t n, bool brief)
{
    struct run run = { 0 };
    while (n > 0) {
        int64_t gap = 0;
        uint32_t chunk = pace_chunk(p, writers, n < 512 ? n : 512, brief);
        assert_true(chunk <= n);
        if (chunk) {
            gap += reading(chunk);
            pace_read(p, writers, chunk, reading(chunk));
        }
        if (writers) {
            gap += writing(writers);
            pace_wrote(p, writers, writers, writing(writers));
        }
        n -= chunk;
        run.total_us += gap;
        run.gaps++;
        run.longest_us = gap > run.longest_us ? gap : run.longest_us;
        assert_true(run.gaps < 100000);
    }
    return run;
}

static struct run read_beside(struct pace *p, uint32_t writers, uint32_t n)
{
    return read_prompt(p, writers, n, false);
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
    assert_int_equal(pace_chunk(&p, 0, 512, false), 512);
}

static void those_who_write_keep_half_their_pace(void **state UNUSED)
{
    for (uint32_t writers = 1; writers <= 16; writers *= 2) {
        struct pace p;
        set_up(&p, 2);
        read_beside(&p, writers, 200); /* finding out */
        struct run run = read_beside(&p, writers, 4000);
        double mean = (double)run.total_us / run.gaps;
        assert_true(mean < 2.1 * (double)writing(writers));
        assert_true(mean > 1.6 * (double)writing(writers)); /* and reading gets its share */
    }
}

static void no_gap_is_longer_than_three_steps(void **state UNUSED)
{
    struct pace p;
    set_up(&p, 2);
    read_beside(&p, 2, 100);
    assert_true(read_beside(&p, 2, 4000).longest_us <= 3 * writing(2));
    set_up(&p, 100);
    read_beside(&p, 2, 100);
    assert_true(read_beside(&p, 2, 4000).longest_us <= 3 * writing(2));
}

/* On a machine with other work to do the same pass may take a third more than the last time. */
static void passes_that_vary_leave_room_in_the_longest_gap(void **state UNUSED)
{
    struct pace p;
    set_up(&p, 2);
    read_beside(&p, 2, 200);
    uint32_t random = 1, n = 0;
    for (int i = 0; i < 3000; i++) {
        random = random * 1664525 + 1013904223;
        int64_t gap = writing(2);
        pace_wrote(&p, 2, 2, gap);
        uint32_t chunk = pace_chunk(&p, 2, 512, false);
        if (chunk) {
            int64_t us = reading(chunk) * (90 + (random >> 16) % 45) / 100;
            pace_read(&p, 2, chunk, us);
            gap += us;
        }
        assert_true(gap <= 3 * writing(2));
        n += chunk;
    }
    assert_true(n > 10000);
}

static void a_brief_prompt_is_read_at_once_but_not_too_long(void **state UNUSED)
{
    struct pace p;
    set_up(&p, 2);
    read_prompt(&p, 2, 500, true); /* finding out */
    for (int i = 0; i < 20; i++)
        pace_wrote(&p, 2, 2, writing(2)); /* earns enough */
    assert_int_equal(read_prompt(&p, 2, 90, true).gaps, 1);

    struct run run = read_prompt(&p, 2, 4000, true);
    assert_true(run.longest_us <= 201000);
    assert_true(run.longest_us > 3 * writing(2));
    double mean = (double)run.total_us / run.gaps;
    assert_true(mean < 2.1 * (double)writing(2)); /* as many others in between are short */
}

static void who_will_write_in_a_moment_counts(void **state UNUSED)
{
    struct pace p;
    set_up(&p, 2);
    pace_calibrate(&p, writing(1), 16, writing(16));
    read_beside(&p, 1, 200);
    struct run strict = read_beside(&p, 1, 1000);
    assert_true(strict.longest_us <= 3 * writing(1));

    pace_expect(&p, 16);
    struct run wide = read_beside(&p, 1, 1000);
    assert_true(wide.longest_us <= 3 * writing(16));
    assert_true((double)wide.total_us / wide.gaps < 2.2 * (double)writing(16));
    assert_true(wide.total_us < strict.total_us * 3 / 4); /* and all are sooner done */

    pace_expect(&p, 0);
    read_beside(&p, 1, 500); /* what was earned in company is spent */
    assert_true(read_beside(&p, 1, 1000).longest_us <= 3 * writing(1));
}

static void rows_that_others_add_do_not_stop_reading(void **state UNUSED)
{
    struct pace p;
    set_up(&p, 2);
    read_beside(&p, 1, 200);
    uint32_t n = 0;
    for (int i = 0; i < 200; i++) { /* five write, and three beside them add a row */
        pace_wrote(&p, 5, 8, 4 * writing(1));
        uint32_t chunk = pace_chunk(&p, 5, 512, false);
        if (chunk)
            pace_read(&p, 5, chunk, reading(chunk));
        n += chunk;
    }
    assert_true(n > 1000);
}

static void a_smaller_slowdown_is_kept_too(void **state UNUSED)
{
    struct pace p;
    set_up(&p, 1.2);
    read_beside(&p, 4, 100);
    struct run run = read_beside(&p, 4, 2000);
    assert_true((double)run.total_us / run.gaps < 1.25 * (double)writing(4));
}

static void after_a_quiet_stretch_a_short_prompt_is_read_at_once(void **state UNUSED)
{
    struct pace p;
    set_up(&p, 2);
    read_beside(&p, 16, 200);
    for (int i = 0; i < 10; i++)
        pace_wrote(&p, 16, 16, writing(16));
    assert_int_equal(read_beside(&p, 16, 30).gaps, 1);
}

static void one_slow_pass_does_not_stop_reading_for_ever(void **state UNUSED)
{
    struct pace p;
    set_up(&p, 2);
    struct run before = read_beside(&p, 4, 1000);
    for (uint32_t n = 1; n <= 64; n *= 2)
        pace_read(&p, 4, n, reading(n) * 50);
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

static void a_pass_is_estimated(void **state UNUSED)
{
    struct pace p;
    pace_init(&p, 2);
    assert_true(pace_reading_us(&p, 100) <= 0 && pace_writing_us(&p, 1) <= 0);
    set_up(&p, 2);
    double us = pace_reading_us(&p, 512);
    assert_true(us > 0.9 * (double)reading(512) && us < 1.1 * (double)reading(512));
    pace_wrote(&p, 1, 1, writing(1));
    assert_true(pace_writing_us(&p, 1) > 0.9 * (double)writing(1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_nobody_writes_all_is_read_at_once),
        cmocka_unit_test(those_who_write_keep_half_their_pace),
        cmocka_unit_test(no_gap_is_longer_than_three_steps),
        cmocka_unit_test(passes_that_vary_leave_room_in_the_longest_gap),
        cmocka_unit_test(a_brief_prompt_is_read_at_once_but_not_too_long),
        cmocka_unit_test(who_will_write_in_a_moment_counts),
        cmocka_unit_test(rows_that_others_add_do_not_stop_reading),
        cmocka_unit_test(a_smaller_slowdown_is_kept_too),
        cmocka_unit_test(after_a_quiet_stretch_a_short_prompt_is_read_at_once),
        cmocka_unit_test(one_slow_pass_does_not_stop_reading_for_ever),
        cmocka_unit_test(what_can_not_be_broken_off_is_read_in_time),
        cmocka_unit_test(a_pass_is_estimated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
