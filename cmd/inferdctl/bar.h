/*
 * bar.h - how far something has come, on the last line of a terminal.
 *
 *     gemma-4-e4b  [=========>              ]  43%  2.1 of 4.8 GiB  48.2 MiB/s  ETA 0:57
 *
 * It stands on standard error, so that standard output can go elsewhere.  Where standard
 * error is not a terminal (or TERM is "dumb") nothing is drawn.  Whoever writes a line to
 * the terminal hides the bar first; hidden, it has left nothing behind.
 */
#pragma once

#include <stdint.h>

#include "store/digest.h"

struct bar {
    const char *label; /* borrowed; fit for a terminal */
    bool live;         /* there is a terminal */
    bool shown;
    int64_t started_ms; /* bar_tell(): when this pass began */
    int64_t drawn_ms;
    uint64_t last; /* bar_tell(): how far it had come */
};

struct bar_state {
    const char *doing; /* instead of the numbers; NULL: nothing special */
    uint64_t done;
    uint64_t total; /* 0: not known */
    double rate;    /* bytes per second; 0: not known */
    int64_t eta_s;  /* -1: not known */
};

void bar_init(struct bar *b, const char *label, bool wanted);
void bar_draw(struct bar *b, const struct bar_state *state);
void bar_hide(struct bar *b);

/* For a `struct progress` whose context is the bar: draws now and then, and ends the work
 * with ERR_CLOSED once a signal has come (interrupt.h). */
enum err bar_tell(void *bar, uint64_t done, uint64_t total, struct error *error);
