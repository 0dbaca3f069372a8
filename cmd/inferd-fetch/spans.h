/*
 * spans.h - which bytes of a file are there.
 *
 * A set of half-open ranges [from, to), sorted, none touching another.  It is plain data
 * of a fixed size, so that it can be copied and written to a journal as it is.
 *
 * Downloads go lowest first within a window, so a handful of ranges is usual, and
 * SPANS_MAX is far from what can come up.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SPANS_MAX = 240 };

struct span {
    uint64_t from, to;
};

struct spans {
    uint64_t n;
    struct span at[SPANS_MAX];
};

/* Add [from, to), which may overlap what is there.  False if there are too many ranges;
 * the set is then as before. */
bool spans_add(struct spans *s, struct span add);

/* How far the file is there without a hole. */
uint64_t spans_prefix(const struct spans *s);

/* How many bytes are there in all. */
uint64_t spans_total(const struct spans *s);

/* The lowest hole below `size`; false if there is none. */
bool spans_hole(const struct spans *s, uint64_t size, struct span *ret);
