/*
 * tally.h - what came of a run, and how it is told.
 */
#pragma once

#include "base/buf.h"
#include "samples.h"

enum {
    REFUSAL_CODES_MAX = 16, /* further ones count as "other" */
    REFUSAL_CODE_SIZE = 32,
};

struct refusal {
    char code[REFUSAL_CODE_SIZE];
    uint64_t times;
};

struct tally {
    /* Of requests that were answered, in nanoseconds from the first byte's write: to
     * the terminal frame, and to the first that shows something of the answer. */
    struct samples whole;
    struct samples first;
    struct samples gaps; /* between two pieces of an answer; those of one read have none */
    uint64_t frames;
    uint64_t tokens;    /* of all answers, as the server counts them */
    int64_t elapsed_ns; /* from the first write to the last terminal frame */
    struct refusal refusals[REFUSAL_CODES_MAX + 1];
    size_t n_refusals;
    uint64_t lost;      /* requests without a terminal frame */
    uint64_t mixed_up;  /* frames that nobody waited for, or that are none */
    struct error fault; /* the first of those */
};

/* What the run was, for those who read the figures later. */
struct run {
    const char *protocol;
    unsigned connections;
    unsigned prompt_bytes;
    unsigned max_tokens;
};

void tally_done(struct tally *t);

void tally_refusal(struct tally *t, struct slice code);

/* Append a line for people. */
enum err tally_put_text(struct tally *t, const struct run *run, struct buf *out) MUST_USE;

/* Append one JSON object and a newline. */
enum err tally_put_json(struct tally *t, const struct run *run, struct buf *out) MUST_USE;
