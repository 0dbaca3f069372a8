/*
 * prompt.h - what the load generator asks, in words.
 *
 * A prompt is so many words of a short list, drawn by the request's serial and the
 * run's salt: two requests share no beginning, another run with another salt asks
 * nothing that was asked before, and the same run asks the same on either side.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"

/* What all requests of a run are like. */
struct shape {
    uint32_t prompt_bytes; /* of one letter; used where `words` is 0 */
    uint32_t words;
    uint32_t system_words; /* 0: no system prompt */
    uint32_t systems;      /* system prompts that take turns; at least 1 */
    uint64_t salt;
    uint32_t max_tokens;
};

/* Append `"messages":[...]`. */
enum err prompt_put_messages(const struct shape *shape, uint64_t serial, struct buf *out) MUST_USE;
