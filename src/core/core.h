/*
 * core.h - what becomes of a request: admitted or refused, routed, run, ended.
 *
 *     submit --> admit.c: is there room?  --> waiting
 *                route.c: who could serve?     |
 *             dispatch.c: hand over  <---------+
 *                         events    --> the request's sink
 *
 * Knows neither sockets nor JSON.  Routing happens when a request leaves the queue,
 * not when it enters: while a backend is loading or coming back, requests wait.
 */
#pragma once

#include "core/report.h"
#include "core/request.h"
#include "link/engine.h"
#include "link/job.h"

/* What comes before a backend's engine is started for the first time: a program that makes
 * its model present.  Borrowed for core's life. */
struct preparation {
    char **argv;                  /* ended by NULL; NULL: there is nothing to prepare */
    const char *const *passed_on; /* names of environment variables, ended by NULL */
};

/* A configured engine as core sees it.  Its order in core.backends is its priority. */
struct backend {
    struct core *core;
    const char *name; /* its label; borrowed */
    const char *kind; /* "mock", "llamacpp"; borrowed */
    uint32_t slots;
    struct preparation preparation;
    enum { PREPARE_WAITING, PREPARE_RUNNING, PREPARE_DONE, PREPARE_FAILED } prepared;
    struct job *job;       /* while PREPARE_RUNNING; owned by itself */
    struct error why_not;  /* PREPARE_FAILED */
    struct engine *engine; /* owned */
    struct list running;   /* of requests, RUNNING and CANCELLING */
};

struct core_ops {
    /* A request has ended; see report.h. */
    void (*reported)(void *owner, const struct report *report);

    /* The process of a backend's engine has died; what it was working on is still there. */
    void (*engine_died)(void *owner, struct backend *b, const struct engine_end *end);

    /* A backend's state or phase has changed. */
    void (*backend_changed)(void *owner, struct backend *b);

    /* What its preparation says, a line at a time; see job.h.  A line that says why it
     * failed fills `why`. */
    void (*backend_prepares)(void *owner, struct backend *b, const char *line, size_t len,
                             struct error *why);
};

struct core {
    const struct core_ops *ops;
    void *owner;
    struct backend *backends; /* owned; allocated once */
    size_t n_backends;
    struct io *io;
    size_t queue_depth;  /* requests that may wait while every slot is busy */
    struct list waiting; /* of requests, oldest first */
    uint64_t last_serial;
    bool draining;
};

/* What a backend is made of; see engine_setup.  Borrowed for core's life. */
struct backend_setup {
    const char *kind;
    struct preparation preparation;
    struct engine_setup engine;
};

/* Make the backends, all STOPPED.  On failure nothing is left. */
enum err core_init(struct core *core, struct io *io, const struct backend_setup *setups, size_t n,
                   size_t queue_depth, const struct core_ops *ops, void *owner,
                   struct error *error) MUST_USE;

/* Ends every request as failed and kills the engines.  Twice is fine. */
void core_done(struct core *core);

/* Start every backend's engine, those that need preparing when that is done: one at a
 * time, in the order of their priority. */
void core_start(struct core *core);

/* As engine_state(); STARTING also while it is, or is about to be, prepared. */
enum engine_state backend_state(const struct backend *b);

/* Why it is RESTARTING or FAILED. */
const struct error *backend_why(const struct backend *b);

/* A serial that was never used and never will be. */
uint64_t core_next_serial(struct core *core);

/* A request on its way in. */
struct submission {
    uint64_t serial;
    char *order; /* the encoded `generate` */
    size_t order_len;
    struct sink *sink;
    struct asker asker; /* copied */
};

/*
 * Queue a request; its encoded order is taken, on failure too.  The sink hears of it
 * only after the call has returned OK, and until done(), failed() or core_abandon().
 * What was not queued is not reported.
 *
 * ERR_QUEUE_FULL           every slot is busy and queue_depth requests wait
 * ERR_BACKEND_UNAVAILABLE  no backend can serve, now or by itself later; or draining
 */
enum err core_submit(struct core *core, const struct submission *submission, struct request **ret,
                     struct error *error) MUST_USE;

/* Nobody waits for it any more: it leaves the queue at once, or the engine is told to
 * stop.  The sink hears no more; the request is no longer the caller's to name. */
void core_abandon(struct core *core, struct request *r);

/* Its client reads slowly (or reads again): hold (or let go) what it is sent. */
void core_pause(struct request *r, bool pause);

/* Refuse what waits and what comes; what runs goes on. */
void core_drain(struct core *core);

/* --- between the files of this folder -------------------------------------- */

/* Is there room for one more?  admit.c */
enum err core_admit(const struct core *core, struct error *error) MUST_USE;

/* The backend that should take the next request; NULL: none has a free slot now.
 * route.c */
struct backend *core_route(struct core *core);

/* Will any backend ever serve again by itself?  route.c */
bool core_has_hope(const struct core *core);

/* Start what needs no preparing, and the next preparation.  prepare.c */
void core_prepare(struct core *core);

/* Hand waiting requests to free slots.  dispatch.c */
void core_pump(struct core *core);
