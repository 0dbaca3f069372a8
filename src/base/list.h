/*
 * list.h - a doubly linked list whose links are inside the things it lists.
 *
 *     struct request { struct link link; ... };
 *     struct list waiting;
 *     list_init(&waiting);
 *     list_append(&waiting, &r->link);
 *     LIST_EACH(struct request, r, &waiting, link) { ... }
 *
 * A list owns nothing.  It counts what is on it, so nobody keeps a second count.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>

#include "base/base.h"

struct link {
    struct link *prev; /* NULL while on no list */
    struct link *next;
};

struct list {
    struct link ends; /* ends.next is the first, ends.prev the last */
    size_t len;
};

static inline void list_init(struct list *l)
{
    l->ends.prev = l->ends.next = &l->ends;
    l->len = 0;
}

static inline bool link_listed(const struct link *k)
{
    return k->prev != NULL;
}

static inline void list_insert_before(struct list *l, struct link *at, struct link *k)
{
    assert(!link_listed(k));
    k->prev = at->prev;
    k->next = at;
    at->prev->next = k;
    at->prev = k;
    l->len++;
}

static inline void list_append(struct list *l, struct link *k)
{
    list_insert_before(l, &l->ends, k);
}

static inline void list_prepend(struct list *l, struct link *k)
{
    list_insert_before(l, l->ends.next, k);
}

static inline void list_remove(struct list *l, struct link *k)
{
    assert(link_listed(k) && l->len > 0);
    k->prev->next = k->next;
    k->next->prev = k->prev;
    k->prev = k->next = NULL;
    l->len--;
}

/* NULL if the list is empty. */
static inline struct link *list_first(const struct list *l)
{
    return l->len ? l->ends.next : NULL;
}

/* `var` may be removed (and freed) by the body; its neighbours may not. */
#define LIST_EACH(type, var, l, member)                                                            \
    for (type *var = CONTAINER_OF((l)->ends.next, type, member),                                   \
              *var##_next = CONTAINER_OF(var->member.next, type, member);                          \
         &var->member != &(l)->ends;                                                               \
         var = var##_next, var##_next = CONTAINER_OF(var->member.next, type, member))
