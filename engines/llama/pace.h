/*
 * pace.h - how much may be read of prompts while others write.
 *
 * Reading a prompt makes a step longer, and who waits for a token notices.  So steps are
 * timed, and reading gets what the pace leaves: on average a step takes at most `slowdown`
 * times as long as undisturbed, and none more than GAP_MOST times.
 *
 *     n = pace_chunk(&p, writers, wanted);
 *     ... a step that writes for `writers` slots and reads n tokens ...
 *     pace_note(&p, writers, n, us);
 *
 * Undisturbed is how fast those would write if all who are about to write did so already:
 * whoever reads the last of a short prompt will be one of them in a moment, and a pace that is
 * only had while others wait is nobody's due.  pace_expect() says how many that are.
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
    double more;      /* what each further slot adds to a step for one: a part of it */
    uint32_t company; /* how many write, or are about to */
    double credit_us; /* what reading may take by now */
};

void pace_init(struct pace *p, double slowdown);

/* What a step took that wrote for one slot, and one for `all`, when there was little to look
 * back on: how much more it takes to write for more. */
void pace_calibrate(struct pace *p, int64_t one_us, uint32_t all, int64_t all_us);

/* From now on so many write, or are about to. */
void pace_expect(struct pace *p, uint32_t company);

/* How many of `wanted` tokens (at least 1) to read in a step that writes for `writers`
 * slots; perhaps 0, but not for ever.  To be called once for each such step. */
uint32_t pace_chunk(struct pace *p, uint32_t writers, uint32_t wanted);

/* What a step took. */
void pace_note(struct pace *p, uint32_t writers, uint32_t n_read, int64_t us);

/* What a step would take; 0: it can't be said yet. */
double pace_estimate_us(const struct pace *p, uint32_t writers, uint32_t n_read);

/* As many of `wanted` tokens as are read within `us`, at least 1. */
uint32_t pace_within(const struct pace *p, double us, uint32_t wanted);
