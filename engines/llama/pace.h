/*
 * pace.h - how much may be read of prompts while others write.
 *
 * Reading a prompt makes a step longer, and who waits for a token notices.  So steps are
 * timed, and reading gets what the pace leaves: on average a step takes at most `slowdown`
 * times as long as without reading, and none more than GAP_MOST times.
 *
 *     n = pace_chunk(&p, writers, wanted);
 *     ... a step that writes for `writers` slots and reads n tokens ...
 *     pace_note(&p, writers, n, us);
 *
 * Where nobody writes, there is no pace to keep.
 */
#pragma once

#include <stdint.h>

enum {
    PACE_WRITERS = 256, /* the most that the library computes at a time */
    PACE_SIZES = 16,    /* of chunks: from 2^i to 2^(i+1) - 1 tokens */
};

struct pace {
    double slowdown;
    double alone_us[PACE_WRITERS + 1]; /* a step that only writes, by for how many; 0: unknown */
    double token_us[PACE_SIZES];       /* reading one token in a chunk of that size; 0: unknown */
    double credit_us;                  /* what reading may take by now */
};

void pace_init(struct pace *p, double slowdown);

/* How many of `wanted` tokens (at least 1) to read in a step that writes for `writers`
 * slots; perhaps 0, but not for ever.  To be called once for each such step. */
uint32_t pace_chunk(struct pace *p, uint32_t writers, uint32_t wanted);

/* What a step took. */
void pace_note(struct pace *p, uint32_t writers, uint32_t n_read, int64_t us);

/* What a step would take; 0: it can't be said yet. */
double pace_estimate_us(const struct pace *p, uint32_t writers, uint32_t n_read);

/* As many of `wanted` tokens as are read within `us`, at least 1. */
uint32_t pace_within(const struct pace *p, double us, uint32_t wanted);
