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
 * buffer.  A client that hangs up is noticed in every state, and what it asked for
 * is abandoned at once.
 */
#pragma once

#include "core/core.h"
#include "journal/journal.h"
#include "wire/surface.h"

struct clients {
    struct io *io;
    struct core *core;
    struct journal *journal;
    struct list conns;
    struct buf scratch; /* frames on their way to a stream */
    bool draining;
    void (*emptied)(void *owner); /* while draining: the last connection is gone */
    void *owner;
};

void clients_init(struct clients *clients, struct io *io, struct core *core,
                  struct journal *journal, void (*emptied)(void *owner), void *owner);

/* No connections may be left. */
void clients_done(struct clients *clients);

/* Serve a new connection; takes `fd`. */
void clients_accept(struct clients *clients, int fd, const struct surface *surface);

/* Close each connection once what it has asked for is answered and sent; `emptied` tells
 * when all are gone (perhaps before this returns). */
void clients_drain(struct clients *clients);

/* Close them all now. */
void clients_drop(struct clients *clients);
