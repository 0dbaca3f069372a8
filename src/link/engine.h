/*
 * engine.h - one configured backend's engine, kept alive.
 *
 *                      +--------------------------------------+
 *                      v                                      | backoff over
 *     STOPPED --> STARTING --> READY --> (death) ------> RESTARTING
 *                      |                                      ^
 *                      +-- died or too slow ------------------+
 *                      +-- said it can't --------------------> FAILED
 *                                  died too often, before or soon after READY --> FAILED
 *
 *   STOPPED     no process, and none wanted
 *   STARTING    a process is verifying, probing or loading; `phase` says where
 *   READY       it decoded a token and takes requests
 *   RESTARTING  no process; one is started when the backoff is over
 *   FAILED      no process; starting again would end the same way
 *
 * The engine starts the process, has its model verified, loads it, watches its
 * pulse, and starts it again when it dies.  Requests are only numbers here: their
 * owner hears what the process tells about them, and `lost` when it can tell no
 * more.
 */
#pragma once

#include "link/child.h"
#include "proto/engine.h"

enum engine_state {
    ENGINE_STOPPED,
    ENGINE_STARTING,
    ENGINE_READY,
    ENGINE_RESTARTING,
    ENGINE_FAILED,
};

struct engine;

/* How a process ended that was to go on. */
struct engine_end {
    int pid;
    int signal; /* that killed it; 0 if it exited */
    int status; /* its exit code */
    bool was_ready;
    bool excused; /* a CPU variant was at fault, which is avoided from now on */
};

struct engine_ops {
    /* The state, the phase or both have changed. */
    void (*changed)(void *owner);

    /* News of a request: TEXT, DONE or ERROR with its serial. */
    void (*news)(void *owner, const struct event *event);

    /* The process died; phase and capabilities are still those of the dead.  `lost` (if it
     * was READY) and `changed` follow.  False: it was not its own fault, so however often
     * that happens, it is started again. */
    bool (*died)(void *owner, const struct engine_end *end);

    /* The process died: nothing more will come of what it was working on. */
    void (*lost)(void *owner, const struct error *why);
};

/* What to run.  Everything is borrowed and must outlive the engine. */
struct engine_setup {
    const char *name;    /* the backend's label */
    const char *program; /* absolute path */
    uint32_t slots;
    const json_t *options;    /* its entry in the configuration */
    const char *model_path;   /* NULL: it has no model file */
    const char *model_sha256; /* 64 lower-case hex digits; NULL only without a file */
    const char *cache_dir;    /* NULL: none */
    int64_t ready_timeout_ms; /* without a sign of progress while STARTING */
    uint64_t memory_limit;    /* bytes of its process' own; 0: none */
};

enum err engine_new(struct io *io, const struct engine_setup *setup, const struct engine_ops *ops,
                    void *owner, struct engine **ret, struct error *error) MUST_USE;

/* Kills what runs and tells nothing.  Memory goes with the loop's next turns.  NULL
 * is fine. */
void engine_free(struct engine *e);

/* STOPPED or FAILED: start it.  What goes wrong is told by `changed`. */
void engine_start(struct engine *e);

/* `heir` has not been started: let it know what the engine that it replaces found out about
 * the model's file and this machine's CPU variants. */
void engine_inherit(struct engine *heir, const struct engine *from);

enum engine_state engine_state(const struct engine *e);

/* While STARTING, as far as it is known. */
const struct phase_news *engine_phase(const struct engine *e);

/* What the process said when it was ready last; zeros before. */
const struct capabilities *engine_capabilities(const struct engine *e);

/* What the process said last of its context; zeros until it did. */
const struct usage *engine_usage(const struct engine *e);

/* Why it is RESTARTING or FAILED. */
const struct error *engine_why(const struct engine *e);

/* Is its process answering, or loading with progress, or not there?  False: it was to be
 * killed for its silence, and is still there. */
bool engine_is_well(const struct engine *e);

/* The process' pid; 0 if there is none. */
int engine_pid(const struct engine *e);

/* READY only: hand over an encoded `generate` order; taken.  It ends with exactly one
 * news of DONE or ERROR, or with `lost`. */
void engine_generate(struct engine *e, char *order, size_t len);

/* ORDER_CANCEL, ORDER_PAUSE, ORDER_RESUME for a request it has. */
void engine_tell(struct engine *e, enum order_kind kind, uint64_t serial);
