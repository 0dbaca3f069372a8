/*
 * stats.h - the reply to the order "stats": how the daemon is, and what it did since it
 * started.
 *
 * Plain data, filled by whoever knows it and borrowed for the call.  docs/admin.md explains
 * the members to those who read the reply.
 */
#pragma once

#include <sys/types.h>

#include "base/buf.h"
#include "proto/request.h"

/* How long something took, over many requests. */
struct stats_latency {
    const char *name; /* "queue_wait" */
    uint64_t count;
    double sum;             /* seconds */
    size_t n_bounds;        /* of buckets */
    const double *bounds;   /* their upper ends in seconds, each inclusive */
    const uint64_t *counts; /* by bucket, and one more for all above */
};

enum { STATS_LATENCIES_MAX = 8 };

struct stats_totals {
    uint64_t requests, done, failed, abandoned, refused;
    uint64_t prompt_tokens, completion_tokens, cached_tokens;
    const uint64_t *errors; /* by enum err, `n_errors` of them */
    size_t n_errors;
    size_t n_latencies;
    struct stats_latency latencies[STATS_LATENCIES_MAX];
};

/* Texts that are "" or NULL are left out. */
struct stats_backend {
    const char *name, *kind;
    const char *state; /* "ready" */
    const char *why;   /* it is in no better state */
    const char *sha256;
    const struct capabilities *capabilities; /* NULL: it was never ready */
    struct usage usage;                      /* zeros: it said nothing of it */
    uint32_t slots;
    int pid; /* 0: no process */
    size_t running;
    uint64_t deaths;     /* of its process, unasked */
    const char *breaker; /* "closed", "open", "half_open" */
    bool booked;         /* anything was ever asked of it */
    struct stats_totals totals;
};

struct stats_caller {
    uint64_t number;
    int64_t uid; /* -1: nobody attests it */
    const char *executable;
    size_t connections; /* now, as the next two */
    size_t waiting;
    size_t running;
    struct stats_totals totals;
};

struct stats_request {
    uint64_t serial;
    const char *state;   /* "waiting" */
    const char *backend; /* NULL: none yet */
    const char *surface;
    int64_t uid;
    int64_t pid;
    const char *executable;
    double age_ms;
};

struct stats {
    const char *version;
    const char *state; /* of the daemon: "ready" */
    double uptime_seconds;
    size_t queue_depth;
    size_t waiting;
    size_t suspects;   /* requests that run alone, since their engine died */
    size_t refused;    /* of those, the ones that do not run any more */
    bool log_works;    /* the activity log is being written */
    uint64_t log_lost; /* lines of it that nobody will read */
    struct stats_totals totals;
    struct stats_backend *backends;
    size_t n_backends;
    struct stats_caller *callers;
    size_t n_callers;
    struct stats_totals other_callers; /* those that are not on the list any more */
    struct stats_request *requests;    /* those in hand, the oldest first */
    size_t n_requests;
};

/* Append the reply. */
enum err stats_put(struct buf *out, const struct stats *stats) MUST_USE;
