/* Promises of engines/llama/prefix.c. */
#include "llama/prefix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct asker ann = { .uid = 1000, .program = 1 };
static const struct asker anns_other = { .uid = 1000, .program = 2 };
static const struct asker bob = { .uid = 1001, .program = 1 };
static const struct asker nobody = { .uid = UINT32_MAX, .program = 1 };
static const struct asker unseen = { .uid = 1000, .program = 0 };

static const struct rewind any = { .possible = true };
static const struct rewind sliding = { .possible = true, .window = 100 };
static const struct rewind recurrent = { .possible = false };

/* --- who shares with whom --------------------------------------------------------- */

static void programs_of_one_user_share_and_users_never(void **state UNUSED)
{
    assert_true(sharing_allows(SHARING_UID, ann, ann));
    assert_true(sharing_allows(SHARING_UID, ann, anns_other));
    assert_false(sharing_allows(SHARING_UID, ann, bob));
}

static void whom_nobody_attests_shares_nothing(void **state UNUSED)
{
    assert_false(sharing_allows(SHARING_UID, nobody, nobody));
    assert_false(sharing_allows(SHARING_CALLER, nobody, nobody));
}

static void programs_can_be_kept_apart(void **state UNUSED)
{
    assert_true(sharing_allows(SHARING_CALLER, ann, ann));
    assert_false(sharing_allows(SHARING_CALLER, ann, anns_other));
    assert_false(sharing_allows(SHARING_CALLER, ann, bob));
    assert_false(sharing_allows(SHARING_CALLER, unseen, unseen)); /* it may be any two */
    assert_true(sharing_allows(SHARING_UID, unseen, ann));
}

static void off_is_off(void **state UNUSED)
{
    assert_false(sharing_allows(SHARING_OFF, ann, ann));
}

static void sharing_has_names(void **state UNUSED)
{
    enum sharing sharing;
    assert_true(sharing_from_name("caller", &sharing));
    assert_int_equal(sharing, SHARING_CALLER);
    assert_true(sharing_from_name("off", &sharing));
    assert_int_equal(sharing, SHARING_OFF);
    assert_true(sharing_from_name("uid", &sharing));
    assert_int_equal(sharing, SHARING_UID);
    assert_false(sharing_from_name("everybody", &sharing));
}

/* --- how much is of use ------------------------------------------------------------ */

static void what_is_common_is_counted_from_the_front(void **state UNUSED)
{
    static const llama_token a[] = { 1, 2, 3, 4 }, b[] = { 1, 2, 9, 4, 5 };
    assert_int_equal(prefix_common(a, 4, b, 5), 2);
    assert_int_equal(prefix_common(a, 2, b, 5), 2);
    assert_int_equal(prefix_common(a, 4, a, 4), 4);
    assert_int_equal(prefix_common(a, 0, b, 5), 0);
    assert_int_equal(prefix_common(a + 1, 3, b, 5), 0);
}

static void plain_memory_can_be_taken_back_to_any_token(void **state UNUSED)
{
    assert_int_equal(prefix_usable(&any, 1000, 0, 7), 7);
    assert_int_equal(prefix_usable(&any, 1000, 0, 1000), 1000);
}

static void a_recurrent_state_is_of_use_whole_or_not_at_all(void **state UNUSED)
{
    assert_int_equal(prefix_usable(&recurrent, 1000, 999, 999), 0);
    assert_int_equal(prefix_usable(&recurrent, 1000, 999, 1000), 1000);
}

static void a_window_must_still_be_there(void **state UNUSED)
{
    assert_int_equal(prefix_usable(&sliding, 1000, 0, 50), 50);
    assert_int_equal(prefix_usable(&sliding, 1000, 700, 1000), 1000);
    assert_int_equal(prefix_usable(&sliding, 1000, 700, 801), 801);
    assert_int_equal(prefix_usable(&sliding, 1000, 700, 800), 0);
}

/* --- the shelf ----------------------------------------------------------------------- */

static struct shelf shelf;

static void set_up(size_t max, enum sharing sharing, struct rewind rewind)
{
    shelf_init(&shelf, max, sharing, rewind);
}

/* A sequence "abc": one token for each character. */
static size_t tokens_of(const char *s, llama_token *ret)
{
    for (size_t i = 0; s[i]; i++)
        ret[i] = (unsigned char)s[i];
    return strlen(s);
}

static struct kept *add(struct asker asker, const char *s, size_t bytes)
{
    llama_token tokens[64];
    size_t n = tokens_of(s, tokens);
    struct kept *k = shelf_add(&shelf, asker, tokens, n, bytes);
    if (k)
        memset(k->state, 7, bytes);
    return k;
}

/* How many tokens the shelf has for a prompt. */
static size_t find(struct asker asker, const char *s)
{
    llama_token tokens[64];
    size_t usable, common, n = tokens_of(s, tokens);
    struct kept *k = shelf_find(&shelf, asker, tokens, n, &usable, &common);
    assert_int_equal(k != NULL, usable > 0);
    return usable;
}

static void the_longest_prefix_is_found(void **state UNUSED)
{
    set_up(1000, SHARING_UID, any);
    add(ann, "hello world", 10);
    add(ann, "hello you", 10);
    assert_int_equal(find(ann, "hello yonder"), 8);
    assert_int_equal(find(ann, "hello world!"), 11);
    assert_int_equal(find(ann, "goodbye"), 0);
    assert_int_equal(find(bob, "hello world!"), 0);
    shelf_done(&shelf);
}

static void the_least_recently_used_makes_room(void **state UNUSED)
{
    set_up(30, SHARING_UID, any);
    add(ann, "abc", 10);
    add(ann, "def", 10);
    add(ann, "ghi", 10);
    assert_int_equal(find(ann, "abc"), 3);
    assert_non_null(add(ann, "jkl", 10));
    assert_int_equal(find(ann, "def"), 0);
    assert_int_equal(find(ann, "abc"), 3);
    assert_int_equal(shelf.bytes, 30);
    assert_non_null(add(ann, "mno", 25));
    assert_int_equal(shelf.kept.len, 1);
    assert_int_equal(shelf.bytes, 25);
    shelf_done(&shelf);
    assert_int_equal(shelf.bytes, 0);
}

static void what_is_too_large_or_there_already_is_not_kept(void **state UNUSED)
{
    set_up(30, SHARING_UID, any);
    assert_null(add(ann, "abc", 31));
    assert_non_null(add(ann, "abcdef", 10));
    assert_null(add(ann, "abc", 5));
    assert_null(add(ann, "abcdef", 10));
    assert_int_equal(shelf.kept.len, 1);
    shelf_done(&shelf);
    set_up(0, SHARING_UID, any);
    assert_null(add(ann, "abc", 1));
    shelf_done(&shelf);
}

static void a_longer_one_replaces_its_beginning(void **state UNUSED)
{
    set_up(100, SHARING_UID, any);
    add(ann, "abc", 10);
    add(bob, "ab", 10);
    assert_non_null(add(ann, "abcdef", 20));
    assert_int_equal(shelf.kept.len, 2);
    assert_int_equal(find(bob, "abc"), 2);
    assert_int_equal(find(ann, "abcd"), 4);
    shelf_done(&shelf);
}

static void what_can_not_be_taken_back_is_kept_at_each_length(void **state UNUSED)
{
    set_up(100, SHARING_UID, recurrent);
    add(ann, "abc", 10);
    assert_non_null(add(ann, "abcdef", 10));
    assert_int_equal(shelf.kept.len, 2);
    assert_int_equal(find(ann, "abcd"), 3);
    assert_int_equal(find(ann, "abcdefg"), 6);
    assert_int_equal(find(ann, "ab"), 0);
    shelf_done(&shelf);
}

static void what_is_common_is_told_even_if_it_is_of_no_use(void **state UNUSED)
{
    llama_token tokens[64];
    size_t usable, common;
    set_up(100, SHARING_UID, recurrent);
    add(ann, "abcdef", 10);
    assert_null(shelf_find(&shelf, ann, tokens, tokens_of("abcxyz", tokens), &usable, &common));
    assert_int_equal(common, 3);
    shelf_done(&shelf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_of_one_user_share_and_users_never),
        cmocka_unit_test(whom_nobody_attests_shares_nothing),
        cmocka_unit_test(programs_can_be_kept_apart),
        cmocka_unit_test(off_is_off),
        cmocka_unit_test(sharing_has_names),
        cmocka_unit_test(what_is_common_is_counted_from_the_front),
        cmocka_unit_test(plain_memory_can_be_taken_back_to_any_token),
        cmocka_unit_test(a_recurrent_state_is_of_use_whole_or_not_at_all),
        cmocka_unit_test(a_window_must_still_be_there),
        cmocka_unit_test(the_longest_prefix_is_found),
        cmocka_unit_test(the_least_recently_used_makes_room),
        cmocka_unit_test(what_is_too_large_or_there_already_is_not_kept),
        cmocka_unit_test(a_longer_one_replaces_its_beginning),
        cmocka_unit_test(what_can_not_be_taken_back_is_kept_at_each_length),
        cmocka_unit_test(what_is_common_is_told_even_if_it_is_of_no_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
