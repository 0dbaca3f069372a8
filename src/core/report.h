/*
 * report.h - one request at its end, for whoever keeps the books.
 *
 * Plain data, borrowed during the call that delivers it.  Every request is reported once:
 * by core those that it took, by serve those that never got so far.  Nothing here is what a
 * client wrote, but its id, and the reader is to mind that.
 */
#pragma once

#include <sys/types.h>

#include "core/caller.h"
#include "proto/request.h"

enum report_end {
    REPORT_DONE,      /* answered, whatever its stop reason */
    REPORT_FAILED,    /* ended by an error after it was admitted */
    REPORT_ABANDONED, /* its client is gone */
    REPORT_REFUSED,   /* never admitted: undecodable, invalid, too large, queue full */
};

/* Who asks, and how. */
struct origin {
    struct caller *caller;
    pid_t pid;             /* (pid_t)-1 where nobody attests it */
    const char *surface;   /* "v1" */
    const char *client_id; /* as the client wrote it; "" or NULL: none */
};

/* Upper bounds of the buckets that pauses are counted in, in seconds, each inclusive. */
#define GAP_BOUNDS_LIST                                                                            \
    0.001, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5,   \
        10, 20, 40, 80
enum { GAP_BOUNDS = sizeof((double[]){ GAP_BOUNDS_LIST }) / sizeof(double) };

/* The pauses between the pieces of an answer. */
struct gaps {
    uint64_t n;
    int64_t sum_us;
    int64_t longest_us;
    uint32_t counts[GAP_BOUNDS + 1]; /* by bucket; the last is for all above */
};

/* One more. */
void gaps_add(struct gaps *gaps, int64_t us);

struct report {
    enum report_end end;
    enum err error;  /* FAILED, REFUSED */
    uint64_t serial; /* 0: it never had one */

    struct origin origin;
    const char *backend; /* its label; NULL: none took it */
    const char *kind;    /* of that backend */

    enum stop_reason stop; /* DONE */
    uint64_t prompt_tokens;
    uint64_t completion_tokens;
    uint64_t cached_tokens;

    /* Microseconds; -1: it did not come to that. */
    int64_t queue_us;      /* until a backend took it, or until its end in the queue */
    int64_t first_text_us; /* from its arrival to the first piece of its answer */
    int64_t total_us;      /* from its arrival to its end */
    struct gaps gaps;
};
