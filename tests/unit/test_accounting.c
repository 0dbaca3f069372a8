/*
 * test_accounting.c - how much was asked for, by whom, and how long it took.
 */
#include "test.h"

#include <stdio.h>
#include <string.h>

#include "journal/accounting.h"

static struct accounting books;
static struct callers callers;
static struct caller *a; /* 1000:/bin/a, connected */

static int set_up(void **state UNUSED)
{
    callers_init(&callers);
    accounting_init(&books, &callers);
    a = callers_enter(&callers, 1000, "/bin/a");
    return a ? 0 : -1;
}

static int tear_down(void **state UNUSED)
{
    caller_leave(&callers, a);
    accounting_done(&books);
    return callers.users.len == 0 ? 0 : -1;
}

/* An answered request of 1000:/bin/a, with nothing special about it. */
static struct report answered(void)
{
    struct gaps gaps = { 0 };
    gaps_add(&gaps, 700);
    gaps_add(&gaps, 300);
    gaps_add(&gaps, 1000);
    gaps_add(&gaps, 1000001);
    return (struct report){
        .end = REPORT_DONE,
        .origin = { .caller = a, .surface = "v1" },
        .backend = "main",
        .kind = "mock",
        .prompt_tokens = 10,
        .completion_tokens = 5,
        .cached_tokens = 3,
        .queue_us = 0,
        .first_text_us = 2000,
        .total_us = 4000,
        .gaps = gaps,
    };
}

static struct report ended(enum report_end end, enum err error)
{
    return (struct report){ .end = end,
                            .error = error,
                            .origin = { .caller = a, .surface = "v1" },
                            .queue_us = -1,
                            .first_text_us = -1,
                            .total_us = -1 };
}

static void book_answered(uid_t uid, const char *label)
{
    struct report r = answered();
    r.origin.caller = callers_enter(&callers, uid, label);
    assert_non_null(r.origin.caller);
    accounting_book(&books, &r);
    caller_leave(&callers, r.origin.caller); /* its account is to be found again */
}

static struct account *first_of(struct ledger *l)
{
    return CONTAINER_OF(list_first(&l->accounts), struct account, link);
}

static void tokens_and_ends_are_summed(void **state UNUSED)
{
    struct report r = answered();
    accounting_book(&books, &r);
    accounting_book(&books, &r);
    r = ended(REPORT_ABANDONED, OK);
    accounting_book(&books, &r);
    assert_int_equal(books.all.requests, 3);
    assert_int_equal(books.all.done, 2);
    assert_int_equal(books.all.abandoned, 1);
    assert_int_equal(books.all.prompt_tokens, 20);
    assert_int_equal(books.all.completion_tokens, 10);
    assert_int_equal(books.all.cached_tokens, 6);
}

static void errors_are_counted_by_code(void **state UNUSED)
{
    static const struct {
        enum report_end end;
        enum err error;
    } ends[] = {
        { REPORT_REFUSED, ERR_QUEUE_FULL },      { REPORT_REFUSED, ERR_QUEUE_FULL },
        { REPORT_REFUSED, ERR_INVALID_REQUEST }, { REPORT_FAILED, ERR_BACKEND_UNAVAILABLE },
        { REPORT_FAILED, ERR_SYSTEM },           { REPORT_FAILED, ERR_INTERNAL },
    };
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        struct report r = ended(ends[i].end, ends[i].error);
        accounting_book(&books, &r);
    }
    assert_int_equal(books.all.refused, 3);
    assert_int_equal(books.all.failed, 3);
    assert_int_equal(books.all.errors[ERR_QUEUE_FULL], 2);
    assert_int_equal(books.all.errors[ERR_INVALID_REQUEST], 1);
    assert_int_equal(books.all.errors[ERR_BACKEND_UNAVAILABLE], 1);
    assert_int_equal(books.all.errors[ERR_INTERNAL], 2); /* as clients see them */
}

static void times_that_never_came_are_not_observed(void **state UNUSED)
{
    struct report r = ended(REPORT_REFUSED, ERR_QUEUE_FULL);
    accounting_book(&books, &r);
    for (size_t i = 0; i < LATENCIES; i++)
        assert_int_equal(books.all.latencies[i].count, 0);
}

/* The bucket that one observation of the whole request's time fell into. */
static size_t bucket_of(int64_t us)
{
    struct accounting fresh;
    struct report r = answered();
    size_t bucket = 0;
    accounting_init(&fresh, &callers);
    r.total_us = us;
    accounting_book(&fresh, &r);
    const struct histogram *h = &fresh.all.latencies[LATENCY_REQUEST];
    while (!h->counts[bucket])
        bucket++;
    assert_int_equal(h->counts[bucket], 1);
    accounting_done(&fresh);
    return bucket;
}

static void bounds_are_inclusive(void **state UNUSED)
{
    const struct bounds *b = &latency_bounds[LATENCY_REQUEST];
    assert_int_equal(bucket_of(0), 0);
    for (size_t i = 0; i < b->n; i++) {
        int64_t us = (int64_t)(b->at[i] * 1e6 + 0.5);
        assert_int_equal(bucket_of(us), i);
        assert_int_equal(bucket_of(us + 1), i + 1);
    }
    assert_int_equal(bucket_of(INT64_MAX), b->n);
}

static void bounds_grow(void **state UNUSED)
{
    for (size_t l = 0; l < LATENCIES; l++) {
        const struct bounds *b = &latency_bounds[l];
        assert_true(b->n > 0 && b->n <= HISTOGRAM_BOUNDS_MAX);
        for (size_t i = 1; i < b->n; i++)
            assert_true(b->at[i - 1] < b->at[i]);
    }
}

static void every_gap_counts(void **state UNUSED)
{
    struct report r =
        answered(); /* three within a millisecond, bounds included, and one of a second */
    const struct bounds *b = &latency_bounds[LATENCY_INTER_TOKEN];
    size_t second = 0;
    accounting_book(&books, &r);
    while (b->at[second] < 1.5)
        second++;
    const struct histogram *h = &books.all.latencies[LATENCY_INTER_TOKEN];
    assert_int_equal(b->n, GAP_BOUNDS);
    assert_int_equal(h->count, 4);
    assert_int_equal(h->counts[0], 3);
    assert_int_equal(h->counts[second], 1);
    assert_true(h->sum > 1.00199 && h->sum < 1.00201);
    assert_int_equal(r.gaps.longest_us, 1000001);
}

static void callers_are_kept_apart(void **state UNUSED)
{
    book_answered(1000, "/bin/a");
    book_answered(1000, "/bin/b");
    book_answered(1001, "/bin/b");
    book_answered(1000, "/bin/a");
    assert_int_equal(books.callers.accounts.len, 3);
    assert_ptr_equal(first_of(&books.callers)->caller, a);
    assert_int_equal(first_of(&books.callers)->totals.requests, 2);
    assert_int_equal(books.all.requests, 4);
}

static void backends_have_accounts_once_they_took_something(void **state UNUSED)
{
    struct report r = ended(REPORT_REFUSED, ERR_QUEUE_FULL);
    accounting_book(&books, &r);
    assert_int_equal(books.backends.accounts.len, 0);
    r = answered();
    accounting_book(&books, &r);
    assert_string_equal(first_of(&books.backends)->name, "main");
}

static void the_one_that_asked_longest_ago_makes_room(void **state UNUSED)
{
    char label[32];
    for (int i = 0; i < ACCOUNTED_CALLERS_MAX; i++) {
        snprintf(label, sizeof label, "/bin/%d", i);
        book_answered(1000, label);
    }
    book_answered(1000, "/bin/0");
    assert_int_equal(books.callers.others.requests, 0);
    book_answered(1000, "/bin/new"); /* /bin/1 goes */
    assert_int_equal(books.callers.accounts.len, ACCOUNTED_CALLERS_MAX);
    assert_int_equal(books.callers.others.requests, 1);
    assert_int_equal(books.callers.others.latencies[LATENCY_REQUEST].count, 1);
    LIST_EACH(struct account, kept, &books.callers.accounts, link)
        assert_string_not_equal(kept->caller->label, "/bin/1");
}

static void nothing_is_lost_in_between(void **state UNUSED)
{
    char label[32];
    uint64_t sum = 0;
    for (int i = 0; i < 5000; i++) {
        snprintf(label, sizeof label, "/bin/%d", i * 7919 % 1000);
        book_answered(1000, label);
    }
    LIST_EACH(struct account, kept, &books.callers.accounts, link)
        sum += kept->totals.completion_tokens;
    assert_int_equal(sum + books.callers.others.completion_tokens, books.all.completion_tokens);
}

static void long_names_are_one_account(void **state UNUSED)
{
    char name[2 * ACCOUNT_NAME_MAX];
    struct report r = answered();
    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = '\0';
    r.backend = name;
    accounting_book(&books, &r);
    accounting_book(&books, &r);
    assert_int_equal(books.backends.accounts.len, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(tokens_and_ends_are_summed),
        TEST(errors_are_counted_by_code),
        TEST(times_that_never_came_are_not_observed),
        TEST(bounds_are_inclusive),
        TEST(bounds_grow),
        TEST(every_gap_counts),
        TEST(callers_are_kept_apart),
        TEST(backends_have_accounts_once_they_took_something),
        TEST(the_one_that_asked_longest_ago_makes_room),
        TEST(nothing_is_lost_in_between),
        TEST(long_names_are_one_account),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
