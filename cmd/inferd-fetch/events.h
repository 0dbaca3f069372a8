/*
 * events.h - what this program tells on standard output: one JSON object per line, in the
 * vocabulary of the daemon's admin socket, keys sorted.
 *
 * Progress is "status":"loading_model" with a phase; the last line is "type":"done" or
 * "type":"error".  docs/fetch.md lists the keys.
 *
 * Nobody listening is a reason to end: whoever started us is gone.  Functions here do
 * not fail; events_lost() says so afterwards.
 */
#pragma once

#include <stdint.h>

#include "outcome.h"

struct events {
    const char *source_url; /* as it may be shown; borrowed */
    bool lost;
    int64_t last_ms;     /* when progress was last told; 0: never */
    uint64_t last_bytes; /* and how much it was */
    double rate;         /* bytes per second, lately */
};

struct amount {
    uint64_t done;
    uint64_t total;   /* 0: not known */
    uint64_t resumed; /* of `done`: what earlier runs brought */
};

/* Does nobody read any more?  Asks the kernel, so that it is known before the next event. */
bool events_lost(struct events *e);

void events_checking(struct events *e, const char *path);

/* Tell progress if it is time: at first, every 32 MiB, every 5 seconds. */
void events_progress(struct events *e, const struct amount *amount);

/* Tell it in any case. */
void events_progress_now(struct events *e, const struct amount *amount);

/* Nothing happens for `ms`, and why; `attempt` of `attempts` comes then. */
void events_waiting(struct events *e, const struct amount *amount, const char *why, int64_t ms,
                    unsigned attempt, unsigned attempts);

/* What was there is of no use: the download starts at its beginning. */
void events_restarted(struct events *e, const char *why);

/* Another process has the model; this one waits for it. */
void events_waiting_for_lock(struct events *e, const char *why);

void events_adopted(struct events *e, const char *source, const char *how, uint64_t bytes);
void events_verify(struct events *e, const char *path);
void events_quarantine(struct events *e, const char *path, const char *expected, const char *actual,
                       const char *quarantine_path);

/* The last line. */
void events_done(struct events *e, const char *path, const char *how, uint64_t size,
                 uint64_t transferred);
void events_failed(struct events *e, enum outcome outcome, const char *message);
