/*
 * deaths.h - how often an engine has died, and what follows: a pause, or that it is given up.
 *
 * Plain data without a clock; all zeros is one that never died.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    PAUSE_FIRST_MS = 100,
    PAUSE_MAX_MS = 30000,
    STEADY_MS = 60000,    /* ready for so long: earlier deaths are forgotten */
    SETTLED_MS = 10000,   /* ready for so long: a death is not one of a loop */
    START_DEATHS_MAX = 5, /* in a row without ever getting ready */
    SOON_DEATHS_MAX = 8,  /* in a row before it had settled */
};

struct deaths {
    unsigned lately;   /* since it was last steady: sets the pause */
    unsigned starting; /* in a row without being ready */
    unsigned soon;     /* in a row before it had settled */
};

/* It died after having been ready for so long; -1: it never was.  Was that its own fault, and
 * not that of what it worked on? */
void deaths_count(struct deaths *d, int64_t ready_ms, bool own_fault);

/* It could not even be started, for now. */
void deaths_count_shortage(struct deaths *d);

/* It is ready. */
void deaths_note_ready(struct deaths *d);

/* Will it die again? */
bool deaths_are_a_loop(const struct deaths *d);

/* Before it is started again; doubles with each death. */
int64_t deaths_pause_ms(const struct deaths *d);
