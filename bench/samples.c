/*
 * samples.c - see samples.h.
 */
#include "samples.h"

#include <math.h>

enum { FIRST_CAPACITY = 4096 };

void samples_done(struct samples *s)
{
    free(s->at);
    *s = (struct samples){ 0 };
}

enum err samples_add(struct samples *s, int64_t value)
{
    if (s->len == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : FIRST_CAPACITY;
        int64_t *at = reallocarray(s->at, cap, sizeof *at);
        if (!at)
            return ERR_NO_MEMORY;
        s->at = at;
        s->cap = cap;
    }
    s->at[s->len++] = value;
    s->sorted = false;
    return OK;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int64_t samples_percentile(struct samples *s, double percent)
{
    if (s->len == 0)
        return 0;
    if (!s->sorted)
        qsort(s->at, s->len, sizeof *s->at, by_value);
    s->sorted = true;
    size_t rank = (size_t)ceil(percent / 100 * (double)s->len);
    return s->at[rank > 0 ? rank - 1 : 0];
}
