/*
 * fuzz.h - what the fuzz targets have in common.
 *
 * A target checks a property and not only that nothing crashes.  The first bytes of
 * an input choose limits and how the rest is cut into pieces.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The property does not hold. */
#define REQUIRE(what)                                                                              \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);                     \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

enum { ROOMY = 1024 * 1024 * 1024 };

/* How an input is cut into pieces: of `least` bytes, or some more if `vary` is set. */
struct knife {
    size_t least;
    uint32_t vary;
};

static inline size_t knife_next(struct knife *k, size_t left)
{
    size_t n = k->least;
    if (k->vary) {
        k->vary = k->vary * 1664525 + 1013904223;
        n += (k->vary >> 24) % 16;
    }
    return n < left ? n : left;
}
