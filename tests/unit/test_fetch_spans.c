/*
 * What spans.h promises: ranges that are added in any order make the same set.
 */
#include "spans.h"

#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "test.h"

/* "0-3,5-7" */
static void expect(const struct spans *s, const char *want)
{
    char text[256] = "";
    size_t n = 0;
    for (uint64_t i = 0; i < s->n; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%llu-%llu", i ? "," : "",
                              (unsigned long long)s->at[i].from, (unsigned long long)s->at[i].to);
    assert_string_equal(text, want);
}

static void add(struct spans *s, uint64_t from, uint64_t to)
{
    assert_true(spans_add(s, (struct span){ from, to }));
}

static void ranges_are_sorted_and_merged(void **state UNUSED)
{
    struct spans s = { 0 };
    add(&s, 10, 20);
    add(&s, 30, 40);
    add(&s, 0, 5);
    expect(&s, "0-5,10-20,30-40");
    add(&s, 5, 7); /* touches one */
    expect(&s, "0-7,10-20,30-40");
    add(&s, 20, 30); /* closes a hole */
    expect(&s, "0-7,10-40");
    add(&s, 8, 9);
    expect(&s, "0-7,8-9,10-40");
    add(&s, 6, 50); /* swallows all */
    expect(&s, "0-50");
    add(&s, 10, 20); /* is there */
    add(&s, 60, 60); /* is nothing */
    expect(&s, "0-50");
}

static void every_order_gives_the_same(void **state UNUSED)
{
    for (unsigned order = 0; order < 4 * 4 * 4 * 4; order++) {
        struct spans s = { 0 };
        bool all = true;
        for (unsigned piece = 0; piece < 4; piece++) {
            bool among = false;
            for (unsigned i = 0, o = order; i < 4; i++, o /= 4)
                among = among || o % 4 == piece;
            all = all && among;
        }
        for (unsigned i = 0, o = order; i < 4; i++, o /= 4)
            add(&s, 10 * (o % 4), 10 * (o % 4) + 10);
        if (all)
            expect(&s, "0-40");
        assert_true(spans_total(&s) <= 40);
    }
}

static void the_prefix_and_the_lowest_hole(void **state UNUSED)
{
    struct spans s = { 0 };
    struct span hole;
    assert_int_equal(spans_prefix(&s), 0);
    assert_true(spans_hole(&s, 100, &hole));
    assert_true(hole.from == 0 && hole.to == 100);
    add(&s, 10, 20);
    assert_int_equal(spans_prefix(&s), 0);
    assert_true(spans_hole(&s, 100, &hole));
    assert_true(hole.from == 0 && hole.to == 10);
    add(&s, 0, 10);
    assert_int_equal(spans_prefix(&s), 20);
    assert_true(spans_hole(&s, 100, &hole));
    assert_true(hole.from == 20 && hole.to == 100);
    add(&s, 90, 200);
    assert_true(spans_hole(&s, 100, &hole));
    assert_true(hole.from == 20 && hole.to == 90);
    assert_false(spans_hole(&s, 20, &hole));
    assert_int_equal(spans_total(&s), 130);
}

static void too_many_are_refused_and_nothing_changes(void **state UNUSED)
{
    struct spans s = { 0 };
    for (uint64_t i = 0; i < SPANS_MAX; i++)
        add(&s, 10 * i, 10 * i + 5);
    struct spans before = s;
    assert_false(spans_add(&s, (struct span){ 6, 8 }));
    assert_memory_equal(&s, &before, sizeof s);
    add(&s, 5, 8);  /* touches one: no more than before */
    add(&s, 5, 10); /* and now one less */
    assert_int_equal(s.n, SPANS_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_sorted_and_merged),
        cmocka_unit_test(every_order_gives_the_same),
        cmocka_unit_test(the_prefix_and_the_lowest_hole),
        cmocka_unit_test(too_many_are_refused_and_nothing_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
