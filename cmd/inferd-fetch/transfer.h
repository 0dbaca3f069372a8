/*
 * transfer.h - from a URL into a sink, over several connections if the server allows it.
 *
 * Knows HTTP and patience; what the bytes are worth is not judged here.
 */
#pragma once

#include "events.h"
#include "options.h"
#include "sink.h"

struct transfer_order {
    const struct options *options; /* its `url` was checked with url_check() */
    const struct store *store;
    struct sink *sink;
    struct events *events;
};

struct transfer_result {
    uint64_t size;     /* of the file, which is in the sink without a hole */
    uint64_t received; /* in this run */
};

/* Before the first of these, and after the last, from one thread. */
enum outcome transfer_global_init(struct error *error) MUST_USE;
void transfer_global_done(void);

/*
 * Bring what is missing.  INSECURE_URL, TRANSPORT, HTTP_STATUS, SIZE_MISMATCH, NO_SPACE, IO,
 * BROKEN: what came before the failure is in the sink, unless the server made it useless.
 */
enum outcome transfer_run(const struct transfer_order *order, struct transfer_result *ret,
                          struct error *error) MUST_USE;
