/*
 * rules.h - what the keys of a model must be for llama.cpp not to be led astray.
 *
 * It believes these numbers, allocates by them, divides by them, and ends the process
 * where one can't be.  A key without a rule only has to be well-formed.
 */
#pragma once

#include <stdint.h>

/* What else is done with a value; USE_NONE: nothing. */
enum use {
    USE_NONE,
    USE_ARCHITECTURE,
    USE_ALIGNMENT,
    USE_SPLIT_COUNT,
    USE_TEMPLATE,
    USE_WORDS,
    USE_LAYERS,
    USE_CONTEXT,
    USE_WIDTH,
    USE_FEED_FORWARD,
    USE_HEADS,
    USE_KV_HEADS,
    USE_KEY_LENGTH,
    USE_VALUE_LENGTH,
    USE_SHARED_KV,
    USE_INTERVAL,
    USE_LATENT,
    USE_STATE,
    USE_ROTATED,
    USE_EPSILON,
};

/* "*." at the beginning of a name stands for an architecture, "*" at its end for any rest. */
struct rule {
    const char *name;
    uint32_t single;          /* types that it may have */
    uint32_t each;            /* types of elements, if it may be an array */
    uint64_t lowest, highest; /* of whole numbers; both 0: any */
    enum use use;
};

/* The rule for the key of that name; one that allows everything if there is none. */
const struct rule *rule_for(const char *name);
