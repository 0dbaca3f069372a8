/*
 * core.h - what becomes of a request: admitted or refused, routed, run, ended.
 *
 *     submit --> admit.c: is there room? --> waiting
 *              choose.c: who is next?          |     queue.c: whose turn is it?
 *                                              |     route.c, breaker.c: who takes it?
 *                                              |     poison.c: must it run alone?
 *            dispatch.c: hand over  <----------+
 *                        events --> the request's sink
 *
 * Knows neither sockets nor JSON.  Routing happens when a request leaves the queue,
 * not when it enters: while a backend is loading or coming back, requests wait.
 */
#pragma once

#include "core/breaker.h"
#include "core/poison.h"
#include "core/queue.h"
#include "link/engine.h"
#include "link/job.h"

/* What comes before a backend's engine is started for the first time: a program that makes
 * its model present. */
struct preparation {
    char **argv;                  /* ended by NULL; NULL: there is nothing to prepare */
    const char *const *passed_on; /* names of environment variables, ended by NULL; borrowed */
};

/* What a backend is made of; see engine_setup.  Its kind is borrowed for core's life, the
 * rest only for the calls that take it. */
struct backend_setup {
    const char *kind;
    uint32_t idle_unload_secs; /* unload it when nobody used it for so long; 0: never */
    struct preparation preparation;
    struct engine_setup engine;
};

/* A configured engine as core sees it.  Its place in core.backends is its priority. */
struct backend {
    struct link link;
    struct core *core;
    struct backend_setup setup; /* a copy, owned */
    const char *name;           /* its label; of the setup, as the next three */
    const char *kind;           /* "mock", "llamacpp" */
    uint32_t slots;
    struct preparation preparation;
    bool retired; /* on core.retired: it finishes what it has */
    enum {
        PREPARE_WAITING,
        PREPARE_RUNNING,
        PREPARE_DONE,
        PREPARE_FAILED,
        PREPARE_UNLOADED, /* not wanted until somebody needs it */
    } prepared;
    struct job *job;       /* while PREPARE_RUNNING; owned by itself */
    struct error why_not;  /* PREPARE_FAILED */
    struct engine *engine; /* owned */
    struct list running;   /* of requests, RUNNING and CANCELLING */
    uint64_t deaths;       /* of its engine's process, unasked */
    int64_t used_ms;       /* when it last had work to do */
    struct breaker breaker;
    struct capabilities able; /* as it said when it was ready last, also while unloaded */
};

struct core_ops {
    /* A request has ended; see report.h. */
    void (*reported)(void *owner, const struct report *report);

    /* The process of a backend's engine has died; what it was working on is still there. */
    void (*engine_died)(void *owner, struct backend *b, const struct engine_end *end);

    /* A backend's state or phase has changed. */
    void (*backend_changed)(void *owner, struct backend *b);

    /* Its breaker has tripped, or closed. */
    void (*breaker_changed)(void *owner, struct backend *b);

    /* What its preparation says, a line at a time; see job.h.  A line that says why it
     * failed fills `why`. */
    void (*backend_prepares)(void *owner, struct backend *b, const char *line, size_t len,
                             struct error *why);
};

struct core {
    const struct core_ops *ops;
    void *owner;
    struct list backends; /* owned; the first that is ready, and can, serves */
    struct list retired;  /* owned; backends that end when what they work on has */
    uv_timer_t reaper;
    uv_timer_t idle;
    struct io *io;
    size_t queue_depth; /* requests that may wait while every slot is busy */
    struct queue queue;
    struct callers callers;
    struct poison poison;
    int64_t service_us; /* how long a request runs, the last ones weighing most; 0: not known */
    uint64_t last_serial;
    bool draining;
};

/* Without backends.  On failure it is still to be ended with core_done(). */
enum err core_init(struct core *core, struct io *io, const struct core_ops *ops, void *owner,
                   struct error *error) MUST_USE;

/* What came of configuring. */
struct changes {
    size_t kept, started, ended;
};

/*
 * These backends, in this order, and no others; core_start() then starts those that are new.
 * One whose setup is as it was goes on, unless it has failed.  One that has changed, or is
 * not among them any more, finishes what it works on; only then the one that replaces it is
 * started.  `ret` may be NULL.  On failure nothing has changed.
 */
enum err core_configure(struct core *core, const struct backend_setup *setups, size_t n,
                        size_t queue_depth, struct changes *ret, struct error *error) MUST_USE;

/* End a backend's engine when what it works on has ended.  It starts again by core_load(),
 * or when a request comes that no other backend could serve.  ERR_NOT_FOUND */
enum err core_unload(struct core *core, const char *name, struct error *error) MUST_USE;

/* Start a backend that is unloaded or has failed.  ERR_NOT_FOUND */
enum err core_load(struct core *core, const char *name, struct error *error) MUST_USE;

/* End a request whoever made it: one that waits fails, one that runs is told to stop.
 * ERR_NOT_FOUND */
enum err core_cancel(struct core *core, uint64_t serial, struct error *error) MUST_USE;

/* Ends every request as failed and kills the engines.  Twice is fine. */
void core_done(struct core *core);

/* Start every backend's engine, those that need preparing when that is done: one at a
 * time, in the order of their priority. */
void core_start(struct core *core);

/* As engine_state(); STARTING also while it is, or is about to be, prepared, RESTARTING
 * while the one that it replaces is still there, STOPPED while it is unloaded. */
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
    unsigned needs;           /* see enum need; what needs nothing is served by anybody */
    bool later;               /* when nobody else waits */
    struct fingerprint print; /* of what it asks */
    struct sink *sink;
    struct origin origin; /* copied */
};

/*
 * Queue a request; its encoded order is taken, on failure too.  The sink hears of it after
 * `ret` was set, perhaps within the call, and until done(), failed() or core_abandon().
 * What was not queued is not reported.  Another caller's request may fail for it, with
 * ERR_QUEUE_FULL; see queue.h.
 *
 * ERR_QUEUE_FULL           every slot is busy, queue_depth requests wait, and the caller
 *                          holds its share of them
 * ERR_BACKEND_UNAVAILABLE  no backend can serve, now or by itself later; or draining
 * ERR_INVALID_REQUEST      it has killed its engine again and again; see poison.h
 */
enum err core_submit(struct core *core, const struct submission *submission, struct request **ret,
                     struct error *error) MUST_USE;

/* What to tell one that ERR_QUEUE_FULL refused. */
struct crowd core_crowd(const struct core *core);

/* Nobody waits for it any more: it leaves the queue at once, or the engine is told to
 * stop.  The sink hears no more; the request is no longer the caller's to name. */
void core_abandon(struct core *core, struct request *r);

/* Its client reads slowly (or reads again): hold (or let go) what it is sent. */
void core_pause(struct request *r, bool pause);

/* Refuse what waits and what comes; what runs goes on. */
void core_drain(struct core *core);

/* --- between the files of this folder -------------------------------------- */

/* Is there room for one more of that caller, and may what it needs be waited for?
 * `ret_victim` is the request that has to go for it; NULL: none.  admit.c */
enum err core_admit(const struct core *core, const struct submission *s,
                    struct request **ret_victim, struct error *error) MUST_USE;

/* A request has been answered that ran for so long.  admit.c */
void core_note_served(struct core *core, int64_t us);

/* When half of those that wait have been served, if each takes that long and so many run at a
 * time; within bounds.  admit.c */
uint32_t core_retry_after_ms(int64_t service_us, size_t waiting, size_t running);

/* The backend that should take a request with such needs; NULL: none has a free slot for it
 * now.  route.c */
struct backend *core_route(struct core *core, unsigned needs);

/* The request that starts next, and the backend that takes it; NULL: none can now.
 * choose.c */
struct request *core_choose(struct core *core, struct backend **ret);

/* Does one run there that may kill its engine?  Then nothing else does.  choose.c */
bool backend_has_suspect(const struct backend *b);

/* May such a request wait, since somebody will serve it soon?  ERR_BACKEND_UNAVAILABLE:
 * every backend that could has failed, or is left alone by its breaker.  route.c */
enum err core_can_wait(const struct core *core, unsigned needs, struct error *error) MUST_USE;

/* Can this backend, now or soon, do what is needed?  route.c */
bool core_will_serve(const struct backend *b, unsigned needs);

/* Will any backend ever serve again by itself?  route.c */
bool core_has_hope(const struct core *core);

/* The engine has said how a request ended (DONE or ERROR), or has died, which it is blamed for
 * or not: what that means for the backend's breaker.  route.c */
void core_judge(struct backend *b, const struct event *event);
void core_judge_death(struct backend *b, bool blamed);

/* The backend of that name; NULL.  configure.c */
struct backend *core_find_backend(const struct core *core, const char *name);

/* Is there one of that name that is to end?  configure.c */
bool core_is_retiring(const struct core *core, const char *name);

/* Something may have come to its end on a retired backend.  configure.c */
void core_retire_idle(struct core *core);

/* If nobody else will serve a request with such needs, wake an unloaded backend that could.
 * True if one was.  configure.c */
bool core_load_on_demand(struct core *core, unsigned needs);

/* From now on, unload what is not used.  idle.c */
void core_watch_idle(struct core *core);

/* All of them, at once.  configure.c */
void core_free_backends(struct core *core);

/* What engines tell, their owner being their backend.  dispatch.c */
extern const struct engine_ops *const core_engine_ops;

/* The copy's texts and arguments are its own.  setup.c */
enum err backend_setup_copy(struct backend_setup *ret, const struct backend_setup *from) MUST_USE;
void backend_setup_done(struct backend_setup *s);

/* Would the same process do for both?  Would the same preparation? */
bool backend_setup_same_engine(const struct backend_setup *a, const struct backend_setup *b);
bool backend_setup_same_preparation(const struct backend_setup *a, const struct backend_setup *b);

/* Start what needs no preparing, and the next preparation.  prepare.c */
void core_prepare(struct core *core);

/* Hand waiting requests to free slots.  dispatch.c */
void core_pump(struct core *core);
