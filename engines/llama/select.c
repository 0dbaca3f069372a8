/*
 * select.c - a scan against a threshold, a block at a time.
 *
 * `ret` is a heap with the worst of what was kept on top.  A block in which nothing is
 * better than that is passed over after one branch; "not (x <= worst)" is true for a NaN
 * as well, so it is found without being looked for.
 */
#include "select.h"

#include <math.h>

enum { BLOCK = 16 };

/* Is any of them larger than `limit`, or no number?  Without a branch for each. */
static bool any_above(const float *x, float limit)
{
    int above = 0;
    for (int i = 0; i < BLOCK; i++)
        above |= !(x[i] <= limit);
    return above;
}

/* The first index from `at` on that is to be looked at: blocks without anything above
 * `limit` are passed over. */
static int32_t pass_over(const float *x, int32_t at, int32_t n, float limit)
{
    while (n - at >= BLOCK && !any_above(x + at, limit))
        at += BLOCK;
    return at;
}

static int32_t block_end(int32_t at, int32_t n)
{
    return n - at < BLOCK ? n : at + BLOCK;
}

int32_t select_best(const float *logits, int32_t n)
{
    int32_t best = 0;
    if (isnan(logits[0]))
        return -1;
    for (int32_t i = 1; i < n;) {
        i = pass_over(logits, i, n, logits[best]);
        for (int32_t end = block_end(i, n); i < end; i++) {
            if (isnan(logits[i]))
                return -1;
            if (logits[i] > logits[best])
                best = i;
        }
    }
    return best;
}

/* --- the heap --------------------------------------------------------------- */

static bool worse(llama_token_data a, llama_token_data b)
{
    return a.logit < b.logit || (a.logit == b.logit && a.id > b.id);
}

/* Let `item` sink from `at` to its place. */
static void sink(llama_token_data *heap, int32_t n, int32_t at, llama_token_data item)
{
    for (int32_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && worse(heap[child + 1], heap[child]))
            child++;
        if (!worse(heap[child], item))
            break;
        heap[at] = heap[child];
    }
    heap[at] = item;
}

/* Taking the worst away again and again leaves the best in front. */
static void sort_heap(llama_token_data *heap, int32_t n)
{
    while (n > 1) {
        llama_token_data last = heap[--n];
        heap[n] = heap[0];
        sink(heap, n, 0, last);
    }
}

bool select_top(const float *logits, int32_t n, llama_token_data *ret, int32_t k)
{
    for (int32_t i = 0; i < k; i++) {
        ret[i] = (llama_token_data){ .id = i, .logit = logits[i] };
        if (isnan(logits[i]))
            return false;
    }
    for (int32_t i = k / 2; i-- > 0;)
        sink(ret, k, i, ret[i]);
    for (int32_t i = k; i < n;) {
        i = pass_over(logits, i, n, ret[0].logit);
        for (int32_t end = block_end(i, n); i < end; i++) {
            if (isnan(logits[i]))
                return false;
            if (logits[i] > ret[0].logit)
                sink(ret, k, 0, (llama_token_data){ .id = i, .logit = logits[i] });
        }
    }
    sort_heap(ret, k);
    return true;
}
