/*
 * held.c - see held.h.
 */
#include "serve/held.h"

bool held_change(struct held *h, struct user *u, size_t before, size_t now)
{
    u->held = u->held - before + now;
    h->bytes = h->bytes - before + now;
    return now <= before || (u->held <= HELD_USER_MAX && h->bytes <= HELD_TOTAL_MAX);
}
