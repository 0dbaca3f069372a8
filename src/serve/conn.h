/*
 * conn.h - the client connections of a daemon.
 *
 * A connection serves one request at a time and answers them in order.  It is
 * always in one of these states:
 *
 *     READING --> PARSING --> SERVING --> READING ...
 *        |           |                       |
 *        +-----------+--> LINGERING ---> (closed) <--- CLOSING
 *
 *   READING    waiting for a whole line
 *   PARSING    a large line is being decoded on the pool
 *   SERVING    a request of ours is in core's hands
 *   CLOSING    all is answered; closed when it has left
 *   LINGERING  the client sent what can't be followed: it was told and gets no more;
 *              what it still sends is thrown away, so that it can read the error
 *
 * Bytes are read in READING only: a client that sends ahead waits in its own socket
 * buffer.  By TCP the first line may have to be the key; nothing is ever said to a client
 * without it.  A client that hangs up is noticed in every state, and what it asked for
 * is abandoned at once.
 *
 * A peer that stands still keeps nothing for long: one that takes no byte of what it is
 * sent, leaves half a request to be waited for, or goes on sending what nobody reads, is
 * closed when the configured time is over.
 */
#pragma once

#include "config/config.h"
#include "core/core.h"
#include "journal/journal.h"
#include "serve/held.h"
#include "wire/surface.h"

/* How a client came in. */
struct entrance {
    const struct surface *surface;
    bool tcp; /* its first line is the key, if there is one */
};

struct clients {
    struct io *io;
    const struct config *config; /* borrowed; what it holds may change */
    struct core *core;
    struct journal *journal;
    struct list conns;
    struct buf scratch; /* frames on their way to a stream */
    struct held held;
    uv_timer_t sweep; /* while there are connections: closes those that stand still */
    bool draining;
    void (*emptied)(void *owner); /* while draining: the last connection is gone */
    void *owner;
};

void clients_init(struct clients *clients, struct io *io, const struct config *config,
                  struct core *core, struct journal *journal, void (*emptied)(void *owner),
                  void *owner);

/* Let the loop end. */
void clients_close(struct clients *clients);

/* No connections may be left. */
void clients_done(struct clients *clients);

/* Serve a new connection; takes `fd`. */
void clients_accept(struct clients *clients, int fd, const struct entrance *entrance);

/* Close each connection once what it has asked for is answered and sent; `emptied` tells
 * when all are gone (perhaps before this returns). */
void clients_drain(struct clients *clients);

/* Close them all now. */
void clients_drop(struct clients *clients);
