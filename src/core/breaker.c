/*
 * breaker.c - see breaker.h.
 *
 * Only the last three failures matter, so no more are kept.  A success forgets them: what
 * fails now and then works most of the time.
 */
#include "core/breaker.h"

#include <string.h>

enum breaker_state breaker_state(const struct breaker *b, int64_t now_ms)
{
    if (!b->tripped)
        return BREAKER_CLOSED;
    return breaker_rests_ms(b, now_ms) > 0 ? BREAKER_OPEN : BREAKER_HALF_OPEN;
}

const char *breaker_state_name(enum breaker_state state)
{
    static const char *const names[] = {
        [BREAKER_CLOSED] = "closed",
        [BREAKER_OPEN] = "open",
        [BREAKER_HALF_OPEN] = "half_open",
    };
    return names[state];
}

int64_t breaker_rests_ms(const struct breaker *b, int64_t now_ms)
{
    int64_t left = b->tripped_ms + BREAKER_REST_MS - now_ms;
    return b->tripped && left > 0 ? left : 0;
}

bool breaker_admits(const struct breaker *b, int64_t now_ms)
{
    enum breaker_state state = breaker_state(b, now_ms);
    return state == BREAKER_CLOSED || (state == BREAKER_HALF_OPEN && b->probe == 0);
}

void breaker_began(struct breaker *b, int64_t now_ms, uint64_t serial)
{
    if (breaker_state(b, now_ms) == BREAKER_HALF_OPEN)
        b->probe = serial;
}

static void trip(struct breaker *b, int64_t now_ms)
{
    *b = (struct breaker){ .tripped = true, .tripped_ms = now_ms };
}

/* Were there too many, with this one? */
static bool add_failure(struct breaker *b, int64_t now_ms)
{
    if (b->n_failures == BREAKER_FAILURES)
        memmove(b->failures, b->failures + 1, --b->n_failures * sizeof b->failures[0]);
    b->failures[b->n_failures++] = now_ms;
    return b->n_failures == BREAKER_FAILURES && now_ms - b->failures[0] <= BREAKER_WINDOW_MS;
}

void breaker_ended(struct breaker *b, int64_t now_ms, uint64_t serial, enum breaker_verdict verdict)
{
    enum breaker_state state = breaker_state(b, now_ms);
    if (serial && b->probe == serial)
        b->probe = 0;
    if (state == BREAKER_OPEN || verdict == BREAKER_NEITHER)
        return; /* what ends now began before: it is no news */
    if (verdict == BREAKER_GOOD)
        *b = (struct breaker){ 0 };
    else if (state == BREAKER_HALF_OPEN || add_failure(b, now_ms))
        trip(b, now_ms);
}

struct breaker breaker_inherit(const struct breaker *b)
{
    struct breaker heir = *b;
    heir.probe = 0;
    return heir;
}
