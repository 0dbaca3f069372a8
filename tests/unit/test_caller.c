/*
 * test_caller.c - one executable of one user, whatever its processes and connections.
 */
#include "test.h"

#include <stdio.h>
#include <string.h>

#include "core/caller.h"

static struct callers callers;

static int set_up(void **state UNUSED)
{
    callers_init(&callers);
    return 0;
}

/* Whatever a test has made it has let go of. */
static int tear_down(void **state UNUSED)
{
    return callers.users.len == 0 ? 0 : -1;
}

static struct caller *enter(uid_t uid, const char *label)
{
    struct caller *c = callers_enter(&callers, uid, label);
    assert_non_null(c);
    return c;
}

static void connections_of_a_program_are_one_caller(void **state UNUSED)
{
    struct caller *a = enter(1000, "/bin/a"), *again = enter(1000, "/bin/a");
    assert_ptr_equal(a, again);
    assert_int_equal(a->connections, 2);
    assert_int_equal(a->user->connected, 1);
    caller_leave(&callers, a);
    assert_int_equal(a->connections, 1);
    caller_leave(&callers, a);
}

static void programs_and_users_are_kept_apart(void **state UNUSED)
{
    struct caller *a = enter(1000, "/bin/a"), *b = enter(1000, "/bin/b"),
                  *other = enter(1001, "/bin/a");
    assert_ptr_not_equal(a, b);
    assert_ptr_not_equal(a, other);
    assert_ptr_equal(a->user, b->user);
    assert_ptr_not_equal(a->user, other->user);
    assert_true(a->number != b->number && b->number != other->number && a->number != other->number);
    caller_leave(&callers, a);
    caller_leave(&callers, b);
    caller_leave(&callers, other);
}

static void what_cannot_be_seen_is_one_per_user(void **state UNUSED)
{
    struct caller *a = enter(1000, NULL), *again = enter(1000, ""), *other = enter(1001, NULL);
    assert_ptr_equal(a, again);
    assert_string_equal(a->label, "");
    assert_ptr_not_equal(a, other);
    caller_leave(&callers, a);
    caller_leave(&callers, again);
    caller_leave(&callers, other);
}

static void a_number_is_never_used_again(void **state UNUSED)
{
    uint64_t last = 0;
    for (int i = 0; i < 100; i++) {
        struct caller *a = enter(1000, "/bin/a");
        assert_true(a->number > last);
        last = a->number;
        caller_leave(&callers, a);
    }
}

static void who_is_held_is_known_again(void **state UNUSED)
{
    struct caller *a = caller_hold(enter(1000, "/bin/a"));
    uint64_t number = a->number;
    caller_leave(&callers, a);
    assert_int_equal(a->connections, 0);
    struct caller *again = enter(1000, "/bin/a");
    assert_int_equal(again->number, number);
    caller_leave(&callers, again);
    caller_drop(&callers, a);
}

static void copies_of_a_program_gain_nothing(void **state UNUSED)
{
    enum { MORE = CALLER_EXECUTABLES_MAX + 20 };
    struct caller *c[MORE];
    char label[32];
    for (int i = 0; i < MORE; i++) {
        snprintf(label, sizeof label, "/tmp/copy%d", i);
        c[i] = enter(1000, label);
    }
    for (int i = CALLER_EXECUTABLES_MAX; i < MORE; i++)
        assert_ptr_equal(c[i], c[CALLER_EXECUTABLES_MAX]);
    assert_string_equal(c[MORE - 1]->label, "");
    struct caller *known = enter(1000, "/tmp/copy3"), *other = enter(1001, "/bin/a");
    assert_ptr_equal(known, c[3]); /* who was there before stays who it is */
    assert_string_equal(other->label, "/bin/a");
    caller_leave(&callers, known);
    caller_leave(&callers, other);
    for (int i = 0; i < MORE; i++)
        caller_leave(&callers, c[i]);
}

static void those_without_connections_take_no_room(void **state UNUSED)
{
    struct caller *c[CALLER_EXECUTABLES_MAX];
    char label[32];
    for (int i = 0; i < CALLER_EXECUTABLES_MAX; i++) {
        snprintf(label, sizeof label, "/tmp/copy%d", i);
        c[i] = caller_hold(enter(1000, label));
        caller_leave(&callers, c[i]);
    }
    struct caller *late = enter(1000, "/bin/late");
    assert_string_equal(late->label, "/bin/late");
    caller_leave(&callers, late);
    for (int i = 0; i < CALLER_EXECUTABLES_MAX; i++)
        caller_drop(&callers, c[i]);
}

static void users_are_bounded(void **state UNUSED)
{
    static struct caller *c[CALLER_USERS_MAX];
    for (uid_t uid = 0; uid < CALLER_USERS_MAX; uid++)
        c[uid] = enter(uid, "");
    assert_null(callers_enter(&callers, CALLER_USERS_MAX, ""));
    caller_leave(&callers, c[7]);
    c[7] = enter(CALLER_USERS_MAX, "");
    for (uid_t uid = 0; uid < CALLER_USERS_MAX; uid++)
        caller_leave(&callers, c[uid]);
}

static void long_paths_are_cut(void **state UNUSED)
{
    char label[2 * CALLER_LABEL_MAX];
    memset(label, 'a', sizeof label);
    label[sizeof label - 1] = '\0';
    struct caller *a = enter(1000, label), *again = enter(1000, label);
    assert_ptr_equal(a, again);
    assert_int_equal(strlen(a->label), CALLER_LABEL_MAX);
    caller_leave(&callers, a);
    caller_leave(&callers, again);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(connections_of_a_program_are_one_caller),
        TEST(programs_and_users_are_kept_apart),
        TEST(what_cannot_be_seen_is_one_per_user),
        TEST(a_number_is_never_used_again),
        TEST(who_is_held_is_known_again),
        TEST(copies_of_a_program_gain_nothing),
        TEST(those_without_connections_take_no_room),
        TEST(users_are_bounded),
        TEST(long_paths_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
