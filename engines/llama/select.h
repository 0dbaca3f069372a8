/*
 * select.h - the best of many numbers, in one scan.
 *
 * A vocabulary has 50,000 to 260,000 tokens, of which sampling looks at a few dozen:
 * most numbers cost one comparison here and are never copied.  Of equal ones the lower
 * index is the better, so that nothing depends on how they were stored.
 */
#pragma once

#include <llama.h>
#include <stdbool.h>

/* The index of the largest of `n` numbers, at least one.  -1: there is a NaN. */
int32_t select_best(const float *logits, int32_t n);

/* The `k` largest, best first, with their indices as ids; 1 to `n` of them.  False: there
 * is a NaN. */
bool select_top(const float *logits, int32_t n, llama_token_data *ret, int32_t k);
