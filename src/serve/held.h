/*
 * held.h - how many bytes of unfinished requests are held, for each user and in all.
 *
 * A request may have 64 MiB, and nothing is known of it before its last byte is there.  So
 * what users may have under way at a time is bounded: whose bytes pass the bound loses
 * the connection they came by.
 */
#pragma once

#include "core/caller.h"

enum {
    HELD_USER_MAX = 256 * 1024 * 1024, /* four of the largest requests */
    HELD_TOTAL_MAX = 1024 * 1024 * 1024,
};

struct held {
    size_t bytes; /* of all users; each has its own in user.held */
};

/* A connection of that user holds `now` bytes instead of `before`.  False if that is too
 * much. */
bool held_change(struct held *h, struct user *u, size_t before, size_t now);
