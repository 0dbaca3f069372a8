/*
 * idle.c - an engine that nobody has used for a while gives its memory back.
 *
 * Unloading is what an operator's order does, and so is coming back: the next request that
 * nobody else could serve waits in the queue while the engine starts.  The same tick looks
 * after what else nobody tells: that time has passed.
 */
#include "base/clock.h"
#include "core/core.h"

enum { TICK_MS = 500 };

static bool is_due(struct backend *b, int64_t now)
{
    int64_t limit_ms = (int64_t)b->setup.idle_unload_secs * 1000;
    if (backend_state(b) != ENGINE_READY || b->running.len > 0 || b->core->queue.requests.len > 0)
        b->used_ms = now;
    return limit_ms > 0 && now - b->used_ms >= limit_ms;
}

static void unload_idle(struct core *core)
{
    int64_t now = clock_ms();
    LIST_EACH(struct backend, b, &core->backends, link) {
        if (!is_due(b, now))
            continue;
        struct error error; /* no memory: it is tried again with the next tick */
        if (core_unload(core, b->name, &error) == OK)
            return; /* the list is another now */
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct core *core = timer->data;
    core_prepare(core); /* what could not be started before */
    if (core->queue.requests.len > 0)
        core_pump(core); /* a breaker may have rested */
    unload_idle(core);
}

void core_watch_idle(struct core *core)
{
    uv_timer_start(&core->idle, on_tick, TICK_MS, TICK_MS);
    uv_unref((uv_handle_t *)&core->idle);
}
