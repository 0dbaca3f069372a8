/*
 * deaths.c - see deaths.h.
 */
#include "link/deaths.h"

void deaths_count(struct deaths *d, int64_t ready_ms, bool own_fault)
{
    if (ready_ms >= STEADY_MS)
        d->lately = 0;
    if (ready_ms >= SETTLED_MS)
        d->soon = 0;
    d->lately++;
    d->soon += own_fault;
    d->starting += ready_ms < 0;
}

void deaths_count_shortage(struct deaths *d)
{
    d->lately++;
}

void deaths_note_ready(struct deaths *d)
{
    d->starting = 0;
}

bool deaths_are_a_loop(const struct deaths *d)
{
    return d->starting >= START_DEATHS_MAX || d->soon >= SOON_DEATHS_MAX;
}

int64_t deaths_pause_ms(const struct deaths *d)
{
    int64_t pause = PAUSE_FIRST_MS;
    for (unsigned i = 1; i < d->lately && pause < PAUSE_MAX_MS; i++)
        pause *= 2;
    return pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS;
}
