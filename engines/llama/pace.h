/*
 * pace.h - how much may be read of prompts while others write.
 *
 * Passes that write and passes that read take turns, and who waits for a token notices how
 * long the latter are.  So passes are timed, and reading gets what the pace leaves: on average
 * a token comes at most `slowdown` times as late as undisturbed, and none more than GAP_MOST
 * times.  A brief prompt may take longer at once, though no longer than is felt.
 *
 *     ... a pass that writes for `writers` slots
 *     pace_wrote(&p, writers, rows, us);
 *     n = pace_chunk(&p, writers, wanted, brief);
 *     ... a pass that reads n tokens, unless it is 0
 *     pace_read(&p, writers, n, us);
 *
 * Undisturbed is how fast those would write if all who are about to write did so already:
 * whoever reads the last of a short prompt will be one of them in a moment, and a pace that is
 * only had while others wait is nobody's due.  pace_expect() says how many that are.
 *
 * Where nobody writes, there is no pace to keep.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    PACE_WRITERS = 256, /* the most that the library computes at a time */
    PACE_SIZES = 16,    /* of chunks: from 2^i to 2^(i+1) - 1 tokens */
};

struct pace {
    double slowdown;
    double alone_us[PACE_WRITERS + 1]; /* a pass that writes, by its rows; 0: unknown */
    double token_us[PACE_SIZES];       /* reading one token in a chunk of that size; 0: unknown */
    double more;      /* what each further slot adds to a pass for one: a part of it */
    uint32_t company; /* how many write, or are about to */
    double credit_us; /* what reading may take by now */
};

void pace_init(struct pace *p, double slowdown);

/* What a pass took that wrote for one slot, and one for `all`, when there was little to look
 * back on: how much more it takes to write for more. */
void pace_calibrate(struct pace *p, int64_t one_us, uint32_t all, int64_t all_us);

/* From now on so many write, or are about to. */
void pace_expect(struct pace *p, uint32_t company);

/* How many of `wanted` tokens (at least 1) to read before the next pass that writes for
 * `writers` slots; perhaps 0, but not for ever.  `brief`: that is all of short prompts. */
uint32_t pace_chunk(struct pace *p, uint32_t writers, uint32_t wanted, bool brief);

/* What a pass took that wrote for `writers` slots and had `rows` tokens, at least as many. */
void pace_wrote(struct pace *p, uint32_t writers, uint32_t rows, int64_t us);

/* What a pass took that read `n` tokens, while `writers` slots waited to write. */
void pace_read(struct pace *p, uint32_t writers, uint32_t n, int64_t us);

/* What such a pass would take; 0: it can't be said yet. */
double pace_writing_us(const struct pace *p, uint32_t rows);
double pace_reading_us(const struct pace *p, uint32_t n);

/* As many of `wanted` tokens as are read within `us`, at least 1. */
uint32_t pace_within(const struct pace *p, double us, uint32_t wanted);
