/*
 * held.c - see held.h.
 *
 * Users are few, so they are a list.
 */
#include "serve/held.h"

#include "base/base.h"

void held_init(struct held *h)
{
    *h = (struct held){ 0 };
    list_init(&h->holders);
}

struct holder *held_join(struct held *h, uid_t uid)
{
    LIST_EACH(struct holder, known, &h->holders, link) {
        if (known->uid == uid) {
            known->connections++;
            return known;
        }
    }
    struct holder *holder = calloc(1, sizeof *holder);
    if (holder) {
        holder->uid = uid;
        holder->connections = 1;
        list_append(&h->holders, &holder->link);
    }
    return holder;
}

void held_leave(struct held *h, struct holder *holder)
{
    if (--holder->connections > 0)
        return;
    list_remove(&h->holders, &holder->link);
    free(holder);
}

bool held_change(struct held *h, struct holder *holder, size_t before, size_t now)
{
    holder->bytes = holder->bytes - before + now;
    h->bytes = h->bytes - before + now;
    return now <= before || (holder->bytes <= HELD_CALLER_MAX && h->bytes <= HELD_TOTAL_MAX);
}
