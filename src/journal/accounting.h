/*
 * accounting.h - how much was asked for, by whom, and how long it took.
 *
 *     accounting_book(&a, report);        every request, once, at its end
 *     a.all, a.callers, a.backends        to be read at any time
 *
 * Counts since the daemon started; nothing is ever subtracted, so that a reader may take
 * differences.  Callers are those of core/caller.h, the last so many of them that asked; what
 * others did is summed up in one account.  Histograms have fixed bounds: those
 * that dashboards of inference servers are made for, and finer ones below, where a daemon on
 * the same machine lives.
 */
#pragma once

#include "base/list.h"
#include "core/report.h"

enum {
    ACCOUNTED_CALLERS_MAX = 256,
    ACCOUNTED_BACKENDS_MAX = 64,
    ACCOUNT_NAME_MAX = 256,
    HISTOGRAM_BOUNDS_MAX = 28,
};

struct histogram {
    uint64_t count;
    double sum; /* seconds */
    /* By bucket, not cumulative; the one after the last bound is for all above. */
    uint64_t counts[HISTOGRAM_BOUNDS_MAX + 1];
};

enum latency {
    LATENCY_QUEUE,       /* waiting for a backend's slot */
    LATENCY_FIRST_TOKEN, /* arrival to the first piece of the answer */
    LATENCY_INTER_TOKEN, /* between pieces */
    LATENCY_REQUEST,     /* arrival to the end */
    LATENCIES,
};

/* The upper bounds of a latency's buckets, in seconds, each inclusive. */
struct bounds {
    const char *name; /* "queue_wait" */
    size_t n;
    double at[HISTOGRAM_BOUNDS_MAX];
};
extern const struct bounds latency_bounds[LATENCIES];

struct totals {
    uint64_t requests; /* the sum of the next four */
    uint64_t done;
    uint64_t failed;
    uint64_t abandoned;
    uint64_t refused;
    uint64_t prompt_tokens;
    uint64_t completion_tokens;
    uint64_t cached_tokens; /* of prompt_tokens, how many needed no work */
    /* Failed and refused ones by code; codes without a wire name of their own are under
     * ERR_INTERNAL. */
    uint64_t errors[ERROR_CODES];
    struct histogram latencies[LATENCIES];
};

struct account {
    struct link link;
    struct caller *caller;       /* held; callers only */
    char name[ACCOUNT_NAME_MAX]; /* a backend's label; "" for callers */
    struct totals totals;
};

struct ledger {
    struct list accounts; /* the one booked last is first */
    size_t max;
    struct totals others; /* those that had to make room */
};

struct accounting {
    struct callers *known; /* borrowed; whom its callers are of */
    int64_t since_ms;      /* clock_ms() */
    struct totals all;
    struct ledger callers;
    struct ledger backends;
};

/* `callers` outlives it. */
void accounting_init(struct accounting *a, struct callers *callers);
void accounting_done(struct accounting *a);

/* Without memory for another account, `others` gets it. */
void accounting_book(struct accounting *a, const struct report *r);
