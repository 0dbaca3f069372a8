/*
 * conn.h - one client's connection.
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
 *
 * For the files that serve clients: clients.c lets connections in, conn.c is what happens on
 * them, sweep.c ends those that stand still.
 */
#pragma once

#include "serve/clients.h"
#include "serve/decode.h"
#include "serve/peer.h"
#include "wire/line.h"

enum conn_state {
    CONN_READING,
    CONN_PARSING,
    CONN_SERVING,
    CONN_CLOSING,
    CONN_LINGERING,
};

struct conn {
    struct link link;
    struct clients *clients;
    enum conn_state state;
    struct stream stream;
    struct peer peer;
    struct caller *caller; /* what its program is known by */
    const struct surface *surface;
    struct line_reader in;
    struct decode_job *job; /* PARSING */
    struct sink sink;
    struct request *request; /* SERVING; core's */
    struct answer answer;    /* SERVING */
    bool paused;             /* core was told to hold the request's text */
    bool needs_key;          /* its next line is to be the key */
    bool tcp;
    size_t thrown_away;     /* LINGERING */
    size_t held;            /* bytes of a request that is not admitted yet */
    uint64_t waiting_since; /* for the rest of a line, or the end of LINGERING; 0: it is not */
    uint64_t moved_at;      /* when the first unsent byte was queued, or the last one left */
};

/* Its socket is `fd`, taken on failure too. */
enum err conn_open(struct conn *c, int fd, struct error *error) MUST_USE;

/* Hear what it has to say. */
void conn_begin(struct conn *c);

/* At once; its memory goes with the loop's next turns. */
void conn_close(struct conn *c);

/* As soon as all that it has asked for is answered and sent. */
void conn_drain(struct conn *c);

/* What came can't be followed any further, for this reason. */
void conn_refuse_line(struct conn *c, const struct error *error);

/* An error frame to scratch; `a` is NULL where it belongs to no request. */
enum err conn_put_error(struct conn *c, const struct answer *a, const struct error *error) MUST_USE;

/* As the log knows it. */
struct visitor conn_visitor(const struct conn *c);

/* Close those that stand still.  sweep.c */
void clients_sweep(uv_timer_t *timer);
