/*
 * inbox.h - orders, read on a thread of their own.
 *
 * An engine that computes can't look at its socket for seconds at a time.  The
 * inbox's thread does: it reads, parses (a prompt may be 64 MiB of JSON) and
 * answers pings meanwhile.  Orders change hands through the inbox and nothing else
 * is shared, so there is nothing else to lock.
 *
 * When the daemon goes, the thread ends the process at once: nobody is left to
 * compute for.
 */
#pragma once

#include "worker.h"

struct inbox;

/* An order on its way.  The taker owns it: order_done(), then free(). */
struct letter {
    struct letter *next;
    struct order order;
};

/* Start the thread; from now on it alone calls worker_next(). */
enum err inbox_start(struct worker *w, struct inbox **ret, struct error *error) MUST_USE;

/* All that came since the last call, oldest first, as a chain; NULL if nothing came
 * within `timeout_ms` (0: only look; -1: wait). */
struct letter *inbox_take(struct inbox *inbox, int timeout_ms);

/* Is there anything to take?  Cheap enough to ask within a step. */
bool inbox_waiting(struct inbox *inbox);
