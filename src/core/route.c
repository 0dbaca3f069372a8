/*
 * route.c - which backend serves.
 *
 * The first that is ready and can do what the request needs, in the order of the
 * configuration.  One that is ready but busy is waited for: the next one may be another
 * model, and which model answers should not depend on the load.  One that fails again and
 * again is passed over while its breaker is open; see breaker.h.
 *
 * What a backend can do is known since it was ready first.  Before, it may be what is needed.
 */
#include "core/core.h"

#include "base/clock.h"

static bool can(const struct backend *b, unsigned needs)
{
    return b->able.slots == 0 || capabilities_lack(&b->able, needs) == 0;
}

static bool takes_requests(const struct backend *b, int64_t now)
{
    return backend_state(b) == ENGINE_READY && breaker_admits(&b->breaker, now);
}

struct backend *core_route(struct core *core, unsigned needs)
{
    int64_t now = clock_ms();
    LIST_EACH(struct backend, b, &core->backends, link)
        if (takes_requests(b, now) && can(b, needs))
            return b->running.len < b->slots ? b : NULL;
    return NULL;
}

/* --- who waits -------------------------------------------------------------- */

/* Will it come back by itself, or when somebody asks? */
static bool is_hopeful(const struct backend *b)
{
    enum engine_state state = backend_state(b);
    return b->prepared == PREPARE_UNLOADED || (state != ENGINE_FAILED && state != ENGINE_STOPPED);
}

bool core_has_hope(const struct core *core)
{
    LIST_EACH(const struct backend, b, &core->backends, link)
        if (is_hopeful(b))
            return true;
    return false;
}

bool core_will_serve(const struct backend *b, unsigned needs)
{
    return is_hopeful(b) && can(b, needs) && breaker_state(&b->breaker, clock_ms()) != BREAKER_OPEN;
}

/* What no backend has of what is needed; 0: there is one that has it all. */
static unsigned lacking_everywhere(const struct core *core, unsigned needs)
{
    unsigned lack = needs;
    LIST_EACH(const struct backend, b, &core->backends, link) {
        if (can(b, needs))
            return 0;
        lack = capabilities_lack(&b->able, needs);
    }
    return lack;
}

/* The first that would serve, had it not failed so often; NULL: there is none. */
static const struct backend *find_resting(const struct core *core, unsigned needs)
{
    LIST_EACH(const struct backend, b, &core->backends, link)
        if (is_hopeful(b) && can(b, needs))
            return b;
    return NULL;
}

enum err core_can_wait(const struct core *core, unsigned needs, struct error *error)
{
    LIST_EACH(const struct backend, b, &core->backends, link)
        if (core_will_serve(b, needs))
            return OK;
    const struct backend *resting = find_resting(core, needs);
    unsigned lack = lacking_everywhere(core, needs);
    if (resting)
        return fail(
            error, ERR_BACKEND_UNAVAILABLE,
            "no backend available: '%.80s' has failed %d times and is asked again in %lld s",
            resting->name, BREAKER_FAILURES,
            (long long)(breaker_rests_ms(&resting->breaker, clock_ms()) + 999) / 1000);
    if (lack)
        return fail(error, ERR_BACKEND_UNAVAILABLE, "no %s-capable backend available",
                    need_name(lack));
    return fail(error, ERR_BACKEND_UNAVAILABLE, "no backend available");
}

/* --- what counts for the breaker -------------------------------------------- */

/* What is wrong with a request is its client's mistake. */
static enum breaker_verdict verdict_of(const struct event *event)
{
    if (event->kind == EVENT_DONE) {
        bool cancelled = event->outcome.stop == STOP_CANCELLED;
        bool failed = event->outcome.stop == STOP_ERROR;
        return cancelled ? BREAKER_NEITHER : failed ? BREAKER_BAD : BREAKER_GOOD;
    }
    bool failed = event->error.code == ERR_BACKEND_UNAVAILABLE || event->error.code == ERR_INTERNAL;
    return failed ? BREAKER_BAD : BREAKER_NEITHER;
}

static void judge(struct backend *b, uint64_t serial, enum breaker_verdict verdict)
{
    bool tripped = b->breaker.tripped;
    int64_t since = b->breaker.tripped_ms;
    breaker_ended(&b->breaker, clock_ms(), serial, verdict);
    if (!b->retired && (b->breaker.tripped != tripped || b->breaker.tripped_ms != since))
        b->core->ops->breaker_changed(b->core->owner, b);
}

void core_judge(struct backend *b, const struct event *event)
{
    judge(b, event->serial, verdict_of(event));
}

void core_judge_death(struct backend *b, bool blamed)
{
    if (blamed)
        judge(b, 0, BREAKER_BAD);
    else
        judge(b, b->breaker.probe, BREAKER_NEITHER); /* another has to be the probe */
}
