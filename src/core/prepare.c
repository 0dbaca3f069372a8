/*
 * prepare.c - before a backend's engine starts: its model is made present.
 *
 *     WAITING --> RUNNING --> DONE --> the engine is started
 *        |           +------> FAILED
 *        +-- nothing to prepare --> DONE
 *
 * One preparation runs at a time, so that the backend that comes first has the network for
 * itself.  Each is tried once: the program that does it tries again by itself where that
 * makes sense.  Backends with nothing to prepare do not wait for those that have, only for
 * the one that they replace, if that is still there.
 */
#include <string.h>

#include "core/core.h"

static bool begin(struct backend *b);

static struct backend *next_waiting(struct core *core, bool to_prepare)
{
    LIST_EACH(struct backend, b, &core->backends, link)
        if (b->prepared == PREPARE_WAITING && (b->preparation.argv != NULL) == to_prepare &&
            !core_is_retiring(core, b->name))
            return b;
    return NULL;
}

static bool is_running(const struct core *core)
{
    LIST_EACH(struct backend, b, &core->backends, link)
        if (b->prepared == PREPARE_RUNNING)
            return true;
    return false;
}

/* What is started here may end at once and tell so, and whoever hears it may end
 * everything: the list is looked at anew each time. */
void core_prepare(struct core *core)
{
    struct backend *b;
    while ((b = next_waiting(core, false))) {
        b->prepared = PREPARE_DONE;
        engine_start(b->engine);
    }
    while (!is_running(core) && (b = next_waiting(core, true)) && begin(b))
        ;
}

static void give_up(struct backend *b)
{
    struct core *core = b->core;
    b->prepared = PREPARE_FAILED;
    core->ops->backend_changed(core->owner, b);
    core_pump(core);
}

static void on_line(void *owner, const char *line, size_t len)
{
    struct backend *b = owner;
    b->core->ops->backend_prepares(b->core->owner, b, line, len, &b->why_not);
}

static void on_ended(void *owner, int signal, int status)
{
    struct backend *b = owner;
    struct core *core = b->core;
    b->job = NULL;
    if (signal == 0 && status == 0) {
        b->prepared = PREPARE_DONE;
        engine_start(b->engine);
    } else {
        if (signal)
            fail(&b->why_not, ERR_BACKEND_UNAVAILABLE, "fetch failed for %.128s: it died of %s",
                 b->name, strsignal(signal));
        else if (b->why_not.code == OK)
            fail(&b->why_not, ERR_BACKEND_UNAVAILABLE, "fetch failed for %.128s: exit code %d",
                 b->name, status);
        give_up(b);
    }
    core_prepare(core);
}

static const struct job_ops job_ops = { on_line, on_ended };

/* False if it can't be started now, but may be with the next tick. */
static bool begin(struct backend *b)
{
    struct error error;
    b->prepared = PREPARE_RUNNING;
    enum err e = job_start(b->core->io, b->preparation.argv, b->preparation.passed_on, &job_ops, b,
                           &b->job, &error);
    if (e == ERR_EXHAUSTED || e == ERR_NO_MEMORY) {
        b->prepared = PREPARE_WAITING;
        return false;
    }
    if (e) {
        b->why_not = error;
        give_up(b);
    }
    return true;
}

enum engine_state backend_state(const struct backend *b)
{
    switch (b->prepared) {
    case PREPARE_WAITING:
        return core_is_retiring(b->core, b->name) ? ENGINE_RESTARTING : ENGINE_STARTING;
    case PREPARE_RUNNING:
        return ENGINE_STARTING;
    case PREPARE_UNLOADED:
        return ENGINE_STOPPED;
    case PREPARE_FAILED:
        return ENGINE_FAILED;
    case PREPARE_DONE:
        break;
    }
    return engine_state(b->engine);
}

const struct error *backend_why(const struct backend *b)
{
    return b->prepared == PREPARE_FAILED ? &b->why_not : engine_why(b->engine);
}
