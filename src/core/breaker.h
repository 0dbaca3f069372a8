/*
 * breaker.h - a backend that fails again and again is left alone for a while.
 *
 *     CLOSED --- 3 failures within 60 s ---> OPEN --- 30 s ---> HALF_OPEN
 *        ^                                    ^                     |
 *        +---- the probe went well -----------|---------------------+
 *                                             +--- it did not ------+
 *
 *   CLOSED     requests pass
 *   OPEN       none does
 *   HALF_OPEN  one does, and what becomes of it decides
 *
 *     if (breaker_admits(&b, now))
 *         breaker_began(&b, now, serial);
 *     ...
 *     breaker_ended(&b, now, serial, BREAKER_GOOD);
 *
 * Plain data without a clock: `now` is any clock_ms().  All zeros is CLOSED.  What counts as
 * a failure is for the caller to say.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    BREAKER_FAILURES = 3,
    BREAKER_WINDOW_MS = 60000,
    BREAKER_REST_MS = 30000,
};

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

enum breaker_verdict {
    BREAKER_GOOD,
    BREAKER_BAD,
    BREAKER_NEITHER, /* says nothing about the backend: cancelled, or its client's mistake */
};

struct breaker {
    bool tripped; /* OPEN or HALF_OPEN, as the time says */
    int64_t tripped_ms;
    uint64_t probe;                     /* the request that decides; 0: none runs */
    int64_t failures[BREAKER_FAILURES]; /* when, oldest first */
    unsigned n_failures;
};

enum breaker_state breaker_state(const struct breaker *b, int64_t now_ms);

/* "half_open" */
const char *breaker_state_name(enum breaker_state state);

/* May a request pass? */
bool breaker_admits(const struct breaker *b, int64_t now_ms);

/* One that passed has begun; its serial is not 0. */
void breaker_began(struct breaker *b, int64_t now_ms, uint64_t serial);

/* One has ended, or (with serial 0) something happened that tells as much. */
void breaker_ended(struct breaker *b, int64_t now_ms, uint64_t serial,
                   enum breaker_verdict verdict);

/* For the one that replaces the backend: what has failed is known, what runs is not its. */
struct breaker breaker_inherit(const struct breaker *b);

/* How long it will be OPEN; 0: it is not. */
int64_t breaker_rests_ms(const struct breaker *b, int64_t now_ms);
