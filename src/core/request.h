/*
 * request.h - a request, and where it is in its life.
 *
 *     NEW ---> WAITING ---> RUNNING ---> CANCELLING
 *      |          |            |             |
 *      +----------+-----> DONE <-------------+
 *
 *   NEW         made by submit; on no list
 *   WAITING     on core.queue.requests; holds its encoded order
 *   RUNNING     on backend.running; the engine has the order and knows the serial
 *   CANCELLING  on backend.running; told to stop, nobody listens any more; its slot
 *               is free when the engine says so
 *   DONE        on no list; its last event is being delivered, then it is freed
 *
 * The state says which list a request is on and the list says the state.
 * request_move() changes both and nothing else changes either (the queue knows besides whose
 * turn it is), so "where can a
 * request get stuck?" is answered by reading its callers.
 */
#pragma once

#include "base/list.h"
#include "core/poison.h"
#include "core/report.h"
#include "proto/engine.h"

struct backend;
struct sink;

/* Where a request's events go. */
struct sink_ops {
    /* A piece of the answer, valid during the call. */
    void (*text)(struct sink *sink, enum text_kind kind, struct slice text);

    /* The end, exactly one of the two; the request is gone afterwards.  `kind` is the
     * backend's kind, as clients see it. */
    void (*done)(struct sink *sink, const struct outcome *outcome, const char *kind);
    void (*failed)(struct sink *sink, const struct error *error);
};

struct sink {
    const struct sink_ops *ops;
};

/* clang-format off */
#define REQUEST_STATES(X)                         \
    /* state       may become */                  \
    X(NEW,         TO(WAITING) | TO(DONE))        \
    X(WAITING,     TO(RUNNING) | TO(DONE))        \
    X(RUNNING,     TO(CANCELLING) | TO(DONE))     \
    X(CANCELLING,  TO(DONE))                      \
    X(DONE,        0)
/* clang-format on */

enum request_state {
#define X(name, next) REQUEST_##name,
    REQUEST_STATES(X)
#undef X
};

struct request {
    enum request_state state;
    struct link link;
    struct list *list; /* the one it is on, or NULL */
    struct link turn;  /* WAITING: on its caller's list too; see queue.h */
    uint64_t serial;
    char *order; /* the encoded `generate`; NULL once the engine has it */
    size_t order_len;
    unsigned needs; /* of its backend: see enum need */
    bool later;     /* when nobody else waits */
    struct fingerprint print;
    bool suspect;      /* RUNNING and after: alone, since it may kill its engine; see poison.h */
    struct sink *sink; /* borrowed; NULL once nobody listens */
    struct backend *backend; /* that runs it; NULL before */
    struct origin origin;    /* its id is owned, its caller held; the surface's name outlives it */
    int64_t submitted_us;
    int64_t started_us;    /* when the engine got it; 0: not yet */
    int64_t first_text_us; /* when the first and the last piece of the answer came; 0: none */
    int64_t last_text_us;
    struct gaps gaps;
};

struct submission;

/* Takes the order, on failure too.  NULL without memory. */
struct request *request_new(const struct submission *s);

/* A piece of its answer has come. */
void request_note_text(struct request *r);

/* Its story, to be told once; `outcome` is what the engine said at its end, or NULL. */
struct report request_report(const struct request *r, enum report_end end, enum err error,
                             const struct outcome *outcome);

/* Frees one that is DONE or still NEW. */
void request_free(struct callers *callers, struct request *r);

/* To `state`, and from the list it is on to `list` (NULL: to none). */
void request_move(struct request *r, enum request_state state, struct list *list);
