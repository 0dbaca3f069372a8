/*
 * swarm.h - many clients in one thread, each with one request at a time.
 *
 *     e = swarm_run(&plan, &tally, &error);
 *
 * Closed loop: a client asks again as soon as it has its answer, so the server is
 * never asked more than `connections` things at a time, and what a slow answer delays
 * is never asked at all.  Latencies are those of a busy server, not of a queue.
 */
#pragma once

#include "protocol.h"
#include "tally.h"

enum { CONNECTIONS_MAX = 10000 };

struct plan {
    const struct protocol *protocol;
    struct shape shape;
    const char *socket;
    unsigned connections;
    bool reconnect;      /* each request on a connection of its own */
    uint64_t requests;   /* in all; 0: as many as the time allows */
    int64_t duration_ns; /* ask no more after that; used if `requests` is 0 */
    int64_t settle_ns;   /* gaps so early in an answer do not count */
    int patience_ms;     /* silence on all connections for so long: nothing will come */
};

/*
 * Ask and count until it is over.  Losses and mix-ups are counted, not errors;
 * `ret` is to be ended with tally_done() in any case.
 *
 * ERR_SYSTEM     nobody answers at the socket, or there are too few descriptors
 * ERR_NO_MEMORY
 */
enum err swarm_run(const struct plan *plan, struct tally *ret, struct error *error) MUST_USE;
