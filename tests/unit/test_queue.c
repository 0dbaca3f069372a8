/*
 * test_queue.c - whose turn it is, and who makes room.
 *
 * Callers here are one letter for the user and one for the program: "Ab" is b of user A.
 */
#include "test.h"

#include <stdio.h>
#include <string.h>

#include "core/core.h"

static struct callers callers;
static struct queue queue;
static uint64_t serial;

static int set_up(void **state UNUSED)
{
    callers_init(&callers);
    queue_init(&queue);
    serial = 0;
    return 0;
}

static void end(struct request *r)
{
    queue_remove(&queue, r);
    request_move(r, REQUEST_DONE, NULL);
    request_free(&callers, r);
}

static int tear_down(void **state UNUSED)
{
    LIST_EACH(struct request, r, &queue.requests, link)
        end(r);
    return callers.users.len == 0 && queue.turns.len == 0 ? 0 : -1;
}

static struct caller *caller_of(const char *name)
{
    struct caller *c = callers_enter(&callers, (uid_t)name[0], &name[1]);
    assert_non_null(c);
    return c;
}

/* A request of that caller ("-Aa": for later), which is known for as long as it waits. */
static struct request *ask(const char *name)
{
    bool later = name[0] == '-';
    name += later;
    struct caller *c = caller_of(name);
    struct request *r = request_new(&(struct submission){
        .serial = ++serial,
        .order = strdup("order"),
        .later = later,
        .origin = { .caller = c, .surface = "v1" },
    });
    assert_non_null(r);
    queue_add(&queue, r);
    caller_leave(&callers, c);
    return r;
}

static void ask_often(const char *name, int n)
{
    for (int i = 0; i < n; i++)
        ask(name);
}

static bool anybody(void *context UNUSED, const struct request *r UNUSED)
{
    return true;
}

/* Serve one; it is the serial's. */
static uint64_t serve(char name[3])
{
    struct request *r = queue_next(&queue, anybody, NULL);
    assert_non_null(r);
    const struct caller *c = r->origin.caller;
    uint64_t which = r->serial;
    snprintf(name, 3, "%c%s", (char)c->uid, c->label);
    queue_take(&queue, r);
    request_move(r, REQUEST_DONE, NULL);
    request_free(&callers, r);
    return which;
}

/* Serve as many as are named, in this order: "Aa Ba Aa". */
static void assert_served(const char *want)
{
    char got[512] = "", name[3];
    for (size_t n = (strlen(want) + 1) / 3; n > 0; n--) {
        serve(name);
        strcat(strcat(got, got[0] ? " " : ""), name);
    }
    assert_string_equal(got, want);
}

/* Ask as if the queue had room for `depth` requests.  True if there was some. */
static bool squeeze_in(const char *name, size_t depth)
{
    if (queue.requests.len >= depth) {
        bool later = name[0] == '-';
        struct caller *c = caller_of(name + later);
        struct request *victim = queue_victim(&queue, c, later);
        if (victim)
            end(victim);
        caller_leave(&callers, c);
        if (!victim)
            return false;
    }
    ask(name);
    assert_true(queue.requests.len <= depth);
    return true;
}

static size_t count(const char *name)
{
    size_t n = 0;
    LIST_EACH(const struct request, r, &queue.requests, link)
        n += r->origin.caller->uid == (uid_t)name[0] &&
             (!name[1] || strcmp(r->origin.caller->label, &name[1]) == 0);
    return n;
}

/* --- turns ------------------------------------------------------------------ */

static void nobody_waits_at_first(void **state UNUSED)
{
    assert_null(queue_next(&queue, anybody, NULL));
}

static void one_caller_s_are_served_in_order(void **state UNUSED)
{
    char name[3];
    ask_often("Aa", 5);
    for (uint64_t i = 1; i <= 5; i++)
        assert_int_equal(serve(name), i);
    assert_null(queue_next(&queue, anybody, NULL));
}

static bool is_third(void *context UNUSED, const struct request *r)
{
    return r->serial == 3;
}

static void who_may_not_start_is_passed_over(void **state UNUSED)
{
    char name[3];
    ask_often("Aa", 4);
    struct request *r = queue_next(&queue, is_third, NULL);
    assert_int_equal(r->serial, 3);
    end(r);
    assert_null(queue_next(&queue, is_third, NULL));
    assert_int_equal(serve(name), 1);
}

static void users_take_turns_whatever_they_have(void **state UNUSED)
{
    ask_often("Aa", 4);
    ask_often("Ba", 2);
    ask("Ca");
    assert_served("Aa Ba Ca Aa Ba Aa Aa");
}

static void programs_share_what_their_user_gets(void **state UNUSED)
{
    ask_often("Aa", 3);
    ask_often("Ab", 3);
    ask_often("Ac", 1);
    ask_often("Ba", 4);
    assert_served("Aa Ba Ab Ba Ac Ba Aa Ba Ab Aa Ab");
}

static void who_comes_late_is_next(void **state UNUSED)
{
    ask_often("Aa", 100);
    ask_often("Ba", 100);
    assert_served("Aa Ba Aa");
    ask("Ca");
    assert_served("Ca Ba Aa Ba");
}

/* It comes each time as soon as another is served, and gets a third, not more. */
static void who_comes_and_goes_has_no_more_turns(void **state UNUSED)
{
    struct caller *b = caller_of("Ba"); /* known all the time */
    ask_often("Aa", 100);
    ask_often("Ca", 100);
    assert_served("Aa");
    ask("Ba");
    assert_served("Ca Ba");
    for (int i = 0; i < 10; i++) {
        assert_served("Aa");
        ask("Ba");
        assert_served("Ca Ba");
    }
    caller_leave(&callers, b);
}

static void a_program_that_comes_late_is_next_of_its_user(void **state UNUSED)
{
    ask_often("Aa", 100);
    assert_served("Aa Aa");
    ask("Ab");
    ask("Ba");
    assert_served("Ba Ab Aa");
}

static void who_comes_back_at_once_is_not_served_twice(void **state UNUSED)
{
    ask("Aa");
    ask("Ba");
    assert_served("Aa");
    ask("Aa");
    assert_served("Ba Aa");
}

static void who_leaves_costs_nobody_a_turn(void **state UNUSED)
{
    struct request *first = ask("Aa");
    ask("Aa");
    ask("Ba");
    end(first);
    assert_served("Aa Ba");
}

static void who_leaves_last_is_forgotten(void **state UNUSED)
{
    struct request *only = ask("Aa");
    ask("Ba");
    end(only);
    assert_served("Ba");
    assert_null(queue_next(&queue, anybody, NULL));
    ask("Aa");
    assert_served("Aa");
}

/* Ten users, ten programs each, all with more than enough: after each round of users every
 * user, after each ten of those every program, has had exactly as much as any other. */
static void shares_are_exact(void **state UNUSED)
{
    unsigned served[10][10] = { 0 };
    char name[3] = "";
    for (int i = 0; i < 100 * 7; i++) {
        name[0] = (char)('A' + i % 10);
        name[1] = (char)('a' + i / 10 % 10);
        ask(name);
    }
    for (int round = 1; round <= 50; round++) {
        for (int i = 0; i < 10; i++) {
            serve(name);
            served[name[0] - 'A'][name[1] - 'a']++;
        }
        for (int u = 0; u < 10; u++) {
            unsigned sum = 0;
            for (int p = 0; p < 10; p++) {
                sum += served[u][p];
                assert_in_range(served[u][p], round / 10, (round + 9) / 10);
            }
            assert_int_equal(sum, round);
        }
    }
}

/* --- room ------------------------------------------------------------------- */

static void nobody_gives_way_to_itself(void **state UNUSED)
{
    ask_often("Aa", 10);
    assert_false(squeeze_in("Aa", 10));
}

static void an_empty_queue_has_nobody_to_give_way(void **state UNUSED)
{
    assert_false(squeeze_in("Aa", 0));
}

static void the_newest_of_the_one_with_most_gives_way(void **state UNUSED)
{
    char name[3];
    ask_often("Aa", 3); /* 1 to 3 */
    ask_often("Ca", 2);
    assert_true(squeeze_in("Ba", 5)); /* 6, for 3 */
    assert_int_equal(count("A"), 2);
    assert_int_equal(serve(name), 1);
    assert_int_equal(serve(name), 4);
    assert_int_equal(serve(name), 6);
    assert_int_equal(serve(name), 2);
    assert_int_equal(serve(name), 5);
}

static void it_goes_on_until_both_have_as_much(void **state UNUSED)
{
    ask_often("Aa", 10);
    for (int i = 0; i < 5; i++)
        assert_true(squeeze_in("Ba", 10));
    assert_false(squeeze_in("Ba", 10));
    assert_false(squeeze_in("Aa", 10));
    assert_int_equal(count("A"), 5);
    assert_int_equal(count("B"), 5);
}

/* With one more than can be shared, it stays where it is. */
static void an_odd_entry_is_not_passed_to_and_fro(void **state UNUSED)
{
    ask_often("Aa", 11);
    while (squeeze_in("Ba", 11))
        ;
    assert_int_equal(count("A"), 6);
    assert_int_equal(count("B"), 5);
    assert_false(squeeze_in("Aa", 11));
    assert_false(squeeze_in("Ba", 11));
}

static void who_holds_its_share_takes_no_more(void **state UNUSED)
{
    ask_often("Aa", 10);
    ask_often("Ba", 7);
    ask_often("Ca", 1); /* a share is 6 */
    assert_false(squeeze_in("Ba", 18));
    assert_true(squeeze_in("Ca", 18));
    assert_int_equal(count("A"), 9);
}

static void programs_of_a_user_give_way_to_each_other(void **state UNUSED)
{
    ask_often("Aa", 6);
    ask_often("Ba", 6);
    for (int i = 0; i < 3; i++)
        assert_true(squeeze_in("Ab", 12));
    assert_false(squeeze_in("Ab", 12));
    assert_int_equal(count("Aa"), 3);
    assert_int_equal(count("Ab"), 3);
    assert_int_equal(count("Ba"), 6);
}

/* More programs are no more room for their user. */
static void another_user_s_share_is_safe_from_many_programs(void **state UNUSED)
{
    char name[3] = "Aa";
    ask_often("Ba", 10);
    for (int i = 0; i < 200; i++) {
        name[1] = (char)('a' + i % 20);
        squeeze_in(name, 20);
    }
    assert_int_equal(count("B"), 10);
    assert_int_equal(count("A"), 10);
}

/* Whoever asks how often in whatever order: in the end all who ask for their share have it,
 * to within the one entry that can't be shared. */
static void many_callers_end_with_equal_shares(void **state UNUSED)
{
    enum { USERS = 7, PROGRAMS = 3, DEPTH = 100 };
    char name[3] = "Zz";
    unsigned dice = 12345;
    ask_often("Aa", DEPTH);
    for (int i = 0; i < 20000; i++) {
        dice = dice * 1103515245 + 12345;
        name[0] = (char)('A' + (dice >> 16) % USERS);
        name[1] = (char)('a' + (dice >> 24) % PROGRAMS);
        squeeze_in(name, DEPTH);
    }
    for (int u = 0; u < USERS; u++) {
        name[0] = (char)('A' + u);
        name[1] = '\0';
        size_t share = count(name);
        assert_in_range(share, DEPTH / USERS, DEPTH / USERS + 1);
        for (int p = 0; p < PROGRAMS; p++) {
            name[1] = (char)('a' + p);
            assert_in_range(count(name), share / PROGRAMS, share / PROGRAMS + 1);
        }
    }
}

/* --- for later -------------------------------------------------------------- */

static void what_is_for_later_comes_after_all_else(void **state UNUSED)
{
    ask_often("-Aa", 2);
    ask_often("Aa", 2);
    ask("Ba");
    ask("-Ba");
    assert_served("Aa Ba Aa"); /* so far, what was not for later */
    assert_served("Ba Aa Aa"); /* and the rest in turns as well */
    assert_null(queue_next(&queue, anybody, NULL));
}

static void what_is_for_later_is_in_order(void **state UNUSED)
{
    char name[3];
    ask_often("-Aa", 3); /* 1 to 3 */
    ask("Aa");           /* 4 */
    assert_int_equal(serve(name), 4);
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(serve(name), i);
}

static void what_is_for_later_gives_way_to_anybody(void **state UNUSED)
{
    ask_often("Aa", 1);
    ask_often("-Aa", 1);
    ask_often("-Ba", 2);
    assert_true(squeeze_in("Aa", 4)); /* though it has its share: for the newest of B's */
    assert_int_equal(count("B"), 1);
    assert_true(squeeze_in("Aa", 4)); /* and for its own */
    assert_true(squeeze_in("Aa", 4));
    assert_int_equal(count("Aa"), 4);
    assert_false(squeeze_in("Aa", 4));
}

static void what_is_for_later_takes_no_place_of_others(void **state UNUSED)
{
    ask_often("Aa", 10);
    assert_false(squeeze_in("-Ba", 10));
    assert_true(squeeze_in("Ba", 10));
    ask_often("-Aa", 3);
    assert_true(squeeze_in("-Ca", 13)); /* for one of its kind */
    assert_int_equal(count("A"), 11);
    assert_int_equal(count("C"), 1);
    assert_false(squeeze_in("-Aa", 13)); /* who has its share takes none of that kind, either */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(nobody_waits_at_first),
        TEST(one_caller_s_are_served_in_order),
        TEST(who_may_not_start_is_passed_over),
        TEST(users_take_turns_whatever_they_have),
        TEST(programs_share_what_their_user_gets),
        TEST(who_comes_late_is_next),
        TEST(who_comes_and_goes_has_no_more_turns),
        TEST(a_program_that_comes_late_is_next_of_its_user),
        TEST(who_comes_back_at_once_is_not_served_twice),
        TEST(who_leaves_costs_nobody_a_turn),
        TEST(who_leaves_last_is_forgotten),
        TEST(shares_are_exact),
        TEST(nobody_gives_way_to_itself),
        TEST(an_empty_queue_has_nobody_to_give_way),
        TEST(the_newest_of_the_one_with_most_gives_way),
        TEST(it_goes_on_until_both_have_as_much),
        TEST(an_odd_entry_is_not_passed_to_and_fro),
        TEST(who_holds_its_share_takes_no_more),
        TEST(programs_of_a_user_give_way_to_each_other),
        TEST(another_user_s_share_is_safe_from_many_programs),
        TEST(many_callers_end_with_equal_shares),
        TEST(what_is_for_later_comes_after_all_else),
        TEST(what_is_for_later_is_in_order),
        TEST(what_is_for_later_gives_way_to_anybody),
        TEST(what_is_for_later_takes_no_place_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
