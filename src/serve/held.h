/*
 * held.h - how many bytes of unfinished requests are held, for each caller and in all.
 *
 * A request may have 64 MiB, and nothing is known of it before its last byte is there.  So
 * what callers may have under way at a time is bounded: whose bytes pass the bound loses
 * the connection they came by.
 */
#pragma once

#include <sys/types.h>

#include "base/list.h"

enum {
    HELD_CALLER_MAX = 256 * 1024 * 1024, /* four of the largest requests */
    HELD_TOTAL_MAX = 1024 * 1024 * 1024,
};

/* One user; all of TCP is user -1. */
struct holder {
    struct link link;
    uid_t uid;
    size_t connections; /* that refer to it */
    size_t bytes;
};

struct held {
    struct list holders;
    size_t bytes;
};

void held_init(struct held *h);

/* A connection of that user begins; NULL without memory. */
struct holder *held_join(struct held *h, uid_t uid);

/* It ends, and holds nothing any more. */
void held_leave(struct held *h, struct holder *holder);

/* A connection holds `now` bytes instead of `before`.  False if that is too much. */
bool held_change(struct held *h, struct holder *holder, size_t before, size_t now);
