/*
 * test_poison.c - what is held against a request whose engine died.
 */
#include "test.h"

#include <stdio.h>
#include <string.h>

#include "core/poison.h"

static struct poison poison;

static int set_up(void **state UNUSED)
{
    struct error error;
    return poison_init(&poison, &error) ? -1 : 0;
}

static struct fingerprint print_of(const char *said)
{
    struct fingerprint print;
    assert_int_equal(poison_fingerprint(&poison, said, strlen(said), &print), OK);
    return print;
}

static enum verdict judge(const char *said, int64_t now_ms)
{
    struct fingerprint print = print_of(said);
    return poison_judge(&poison, &print, now_ms);
}

static void accuse(const char *said, bool alone, int64_t now_ms)
{
    struct fingerprint print = print_of(said);
    poison_accuse(&poison, &print, alone, now_ms);
}

static void clear(const char *said)
{
    struct fingerprint print = print_of(said);
    poison_clear(&poison, &print);
}

static void nobody_is_a_suspect_at_first(void **state UNUSED)
{
    assert_int_equal(judge("a", 0), POISON_NONE);
    clear("a");
    assert_int_equal(judge("a", 0), POISON_NONE);
}

static void all_that_were_there_are_suspects(void **state UNUSED)
{
    accuse("a", false, 10);
    accuse("b", false, 10);
    assert_int_equal(judge("a", 11), POISON_SUSPECT);
    assert_int_equal(judge("b", 11), POISON_SUSPECT);
    assert_int_equal(judge("c", 11), POISON_NONE);
}

static void who_comes_through_alone_is_none(void **state UNUSED)
{
    accuse("a", false, 10);
    accuse("b", false, 10);
    accuse("b", true, 20);
    clear("b");
    assert_int_equal(judge("b", 21), POISON_NONE);
    assert_int_equal(judge("a", 21), POISON_SUSPECT);
    accuse("b", true, 30); /* and starts from the beginning */
    assert_int_equal(judge("b", 31), POISON_SUSPECT);
}

static void twice_alone_is_enough(void **state UNUSED)
{
    accuse("a", false, 10);
    accuse("a", true, 20);
    assert_int_equal(judge("a", 21), POISON_SUSPECT);
    accuse("a", true, 30);
    assert_int_equal(judge("a", 31), POISON_REFUSED);
}

/* Beside others it may have been any of them. */
static void any_number_of_times_in_company_is_not(void **state UNUSED)
{
    for (int i = 0; i < 100; i++)
        accuse("a", false, i);
    assert_int_equal(judge("a", 100), POISON_SUSPECT);
}

static void after_an_hour_all_is_forgotten(void **state UNUSED)
{
    accuse("a", false, 0);
    accuse("b", false, 1000);
    assert_int_equal(judge("a", SUSPECT_MS - 1), POISON_SUSPECT);
    assert_int_equal(judge("a", SUSPECT_MS), POISON_NONE);
    assert_int_equal(judge("b", SUSPECT_MS), POISON_SUSPECT);
    assert_int_equal(judge("b", SUSPECT_MS + 1000), POISON_NONE);
}

static void the_hour_begins_with_its_last_engine(void **state UNUSED)
{
    accuse("a", false, 0);
    accuse("b", false, 1);
    accuse("a", true, SUSPECT_MS / 2);
    accuse("a", true, SUSPECT_MS - 1);
    assert_int_equal(judge("b", SUSPECT_MS + 1), POISON_NONE);
    assert_int_equal(judge("a", SUSPECT_MS + 1), POISON_REFUSED);
    assert_int_equal(judge("a", 2 * SUSPECT_MS - 2), POISON_REFUSED);
    assert_int_equal(judge("a", 2 * SUSPECT_MS - 1), POISON_NONE);
}

static void of_too_many_the_oldest_are_forgotten(void **state UNUSED)
{
    char said[32];
    for (int i = 0; i < SUSPECTS_MAX + 3; i++) {
        snprintf(said, sizeof said, "%d", i);
        accuse(said, false, i);
    }
    assert_int_equal(judge("2", SUSPECTS_MAX), POISON_NONE);
    assert_int_equal(judge("3", SUSPECTS_MAX), POISON_SUSPECT);
    assert_int_equal(judge(said, SUSPECTS_MAX), POISON_SUSPECT);
    assert_int_equal(poison.n, SUSPECTS_MAX);
}

static void they_are_counted(void **state UNUSED)
{
    accuse("a", false, 0);
    accuse("b", true, 10);
    accuse("b", true, 20);
    accuse("c", true, 30);
    struct poison_counts counts = poison_count(&poison, 30);
    assert_int_equal(counts.suspects, 3);
    assert_int_equal(counts.refused, 1);
    counts = poison_count(&poison, SUSPECT_MS);
    assert_int_equal(counts.suspects, 2);
    counts = poison_count(&poison, SUSPECT_MS + 20);
    assert_int_equal(counts.suspects, 1);
    assert_int_equal(counts.refused, 0);
}

static void a_fingerprint_is_of_this_start(void **state UNUSED)
{
    struct fingerprint before = print_of("a"), again = print_of("a"), other = print_of("b");
    assert_memory_equal(&before, &again, sizeof before);
    assert_memory_not_equal(&before, &other, sizeof before);
    struct error error;
    assert_int_equal(poison_init(&poison, &error), OK);
    again = print_of("a");
    assert_memory_not_equal(&before, &again, sizeof before);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(nobody_is_a_suspect_at_first),
        TEST(all_that_were_there_are_suspects),
        TEST(who_comes_through_alone_is_none),
        TEST(twice_alone_is_enough),
        TEST(any_number_of_times_in_company_is_not),
        TEST(after_an_hour_all_is_forgotten),
        TEST(the_hour_begins_with_its_last_engine),
        TEST(of_too_many_the_oldest_are_forgotten),
        TEST(they_are_counted),
        TEST(a_fingerprint_is_of_this_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
