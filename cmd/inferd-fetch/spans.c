/*
 * spans.c - see spans.h.
 */
#include "spans.h"

#include <string.h>

bool spans_add(struct spans *s, struct span add)
{
    if (add.from >= add.to)
        return true;
    uint64_t first = 0; /* the first that touches `add` or lies behind it */
    while (first < s->n && s->at[first].to < add.from)
        first++;
    uint64_t end = first; /* behind the last that touches */
    while (end < s->n && s->at[end].from <= add.to) {
        if (s->at[end].from < add.from)
            add.from = s->at[end].from;
        if (s->at[end].to > add.to)
            add.to = s->at[end].to;
        end++;
    }
    if (end == first && s->n == SPANS_MAX)
        return false;
    memmove(&s->at[first + 1], &s->at[end], (s->n - end) * sizeof s->at[0]);
    s->at[first] = add;
    s->n = s->n - (end - first) + 1;
    return true;
}

uint64_t spans_prefix(const struct spans *s)
{
    return s->n && s->at[0].from == 0 ? s->at[0].to : 0;
}

uint64_t spans_total(const struct spans *s)
{
    uint64_t total = 0;
    for (uint64_t i = 0; i < s->n; i++)
        total += s->at[i].to - s->at[i].from;
    return total;
}

bool spans_hole(const struct spans *s, uint64_t size, struct span *ret)
{
    uint64_t from = spans_prefix(s);
    if (from >= size)
        return false;
    uint64_t next = from ? 1 : 0;
    uint64_t to = next < s->n && s->at[next].from < size ? s->at[next].from : size;
    *ret = (struct span){ from, to };
    return true;
}
