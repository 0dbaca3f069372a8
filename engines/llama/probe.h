/*
 * probe.h - does a CPU module do what this machine's CPU says it can?
 *
 * Some machines advertise instructions that fault.  So a module is asked in a child
 * process, which may die of the answer.  The children are forked: this process must
 * not have threads yet.
 */
#pragma once

#include <stdbool.h>

#include "base/base.h"

enum {
    PROBE_PATIENCE_MS = 10 * 1000, /* for one child */
    PROBE_TEND_MS = 200,
};

/* What a probe waits with: called every PROBE_TEND_MS while a child runs. */
struct tending {
    void (*tend)(void *context);
    void *context;
};

struct verdict {
    bool works;
    int score;    /* what the module thinks of itself on this CPU; 0: not at all */
    char why[64]; /* if not: "was killed by SIGILL" */
};

/* Load the module and ask for its score. */
struct verdict probe_score(const char *path, const struct tending *tending);

/* Multiply a Q8_0 matrix with 1 and with 32 columns, in every kind of memory that
 * the module has for weights: each comes with code of its own. */
struct verdict probe_multiply(const char *path, const struct tending *tending);
