/*
 * rows.h - how many tokens each place has in a pass, so that little is computed twice.
 *
 * A batch is in the order of the slots' places.  The library computes those places together
 * that follow each other and have equally many tokens; for each other length, and beyond each
 * gap, it goes through all weights again.  ggml's kernels take ROWS_TILE rows at once, and as
 * long for fewer.
 *
 * Only arithmetic: who may read or write how much is the scheduler's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    ROWS_TILE = 4,
};

struct row {
    uint32_t tokens; /* in this pass */
    bool spare;      /* it has none in this pass, but could have one */
};

/* Cut pieces of prompts that differ by few tokens to the same length.  The more there are, the
 * more lengths they would be, so the more may be cut off: half as many tokens as pieces. */
void rows_level(struct row *rows, uint32_t n);

/* In a pass that writes: add a token of those few that stand between two who have some, where
 * that closes the gap, and of those beside them that fill the last tile. */
void rows_fill_up(struct row *rows, uint32_t n);
