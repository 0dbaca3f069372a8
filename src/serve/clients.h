/*
 * clients.h - the client connections of a daemon.
 *
 *     clients_init(&clients, ...);
 *     clients_accept(&clients, fd, &entrance);    as often as somebody connects
 *     clients_drain(&clients);                    `emptied` tells when all are gone
 *
 * What a connection goes through is in conn.h.  How many connections one caller may have is
 * bounded: the next one is told so and closed.
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
