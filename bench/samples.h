/*
 * samples.h - every measured value, kept, so that percentiles are exact.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct samples {
    int64_t *at; /* owned */
    size_t len;
    size_t cap;
    bool sorted;
};

void samples_done(struct samples *s);

enum err samples_add(struct samples *s, int64_t value) MUST_USE;

/* The smallest value that `percent` of all are not above (nearest rank); 0 of none. */
int64_t samples_percentile(struct samples *s, double percent);
