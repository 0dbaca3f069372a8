/*
 * test_list.c - links inside the things they list.
 */
#include "test.h"

#include <string.h>

#include "base/list.h"

struct thing {
    char name;
    struct link link;
};

/* The names in order, forwards and then backwards. */
static void assert_names(const struct list *l, const char *want)
{
    char got[16] = "";
    size_t n = 0;
    LIST_EACH(struct thing, t, l, link)
        got[n++] = t->name;
    assert_string_equal(got, want);
    assert_int_equal(l->len, strlen(want));
    for (struct link *k = l->ends.prev; k != &l->ends; k = k->prev)
        assert_int_equal(CONTAINER_OF(k, struct thing, link)->name, got[--n]);
    assert_int_equal(n, 0);
}

static void an_empty_list_has_nobody(void **state UNUSED)
{
    struct list l;
    list_init(&l);
    assert_names(&l, "");
    assert_null(list_first(&l));
}

static void things_stand_where_they_were_put(void **state UNUSED)
{
    struct list l;
    struct thing a = { .name = 'a' }, b = { .name = 'b' }, c = { .name = 'c' }, d = { .name = 'd' };
    list_init(&l);
    list_append(&l, &b.link);
    list_append(&l, &d.link);
    list_prepend(&l, &a.link);
    list_insert_before(&l, &d.link, &c.link);
    assert_names(&l, "abcd");
    assert_ptr_equal(list_first(&l), &a.link);
}

static void who_is_removed_is_on_no_list(void **state UNUSED)
{
    struct list l, other;
    struct thing a = { .name = 'a' }, b = { .name = 'b' }, c = { .name = 'c' };
    list_init(&l);
    list_init(&other);
    list_append(&l, &a.link);
    list_append(&l, &b.link);
    list_append(&l, &c.link);
    assert_true(link_listed(&b.link));
    list_remove(&l, &b.link);
    assert_false(link_listed(&b.link));
    list_append(&other, &b.link);
    assert_names(&l, "ac");
    assert_names(&other, "b");
}

static void the_walk_survives_the_removal_of_the_one_it_is_at(void **state UNUSED)
{
    struct list l;
    list_init(&l);
    for (char name = 'a'; name <= 'e'; name++) {
        struct thing *t = calloc(1, sizeof *t);
        assert_non_null(t);
        t->name = name;
        list_append(&l, &t->link);
    }
    LIST_EACH(struct thing, t, &l, link) {
        if (t->name == 'b' || t->name == 'e') {
            list_remove(&l, &t->link);
            free(t);
        }
    }
    assert_names(&l, "acd");
    LIST_EACH(struct thing, t, &l, link) {
        list_remove(&l, &t->link);
        free(t);
    }
    assert_names(&l, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_list_has_nobody),
        cmocka_unit_test(things_stand_where_they_were_put),
        cmocka_unit_test(who_is_removed_is_on_no_list),
        cmocka_unit_test(the_walk_survives_the_removal_of_the_one_it_is_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
