/*
 * admit.c - bounded admission.
 *
 * There is room while fewer requests are in the house than the slots and the queue
 * hold together.  A request that was abandoned is not counted: its place is free at
 * once, although the engine may need a moment to let go of its slot.
 *
 * Without room, one that waits may have to go instead; queue.c says whose.
 */
#include "core/core.h"

static size_t count_running(const struct backend *b)
{
    size_t n = 0;
    LIST_EACH(struct request, r, &b->running, link)
        n += r->state == REQUEST_RUNNING;
    return n;
}

static bool has_room(const struct core *core)
{
    size_t room = core->queue_depth;
    size_t taken = core->queue.requests.len;
    LIST_EACH(const struct backend, b, &core->backends, link) {
        room += b->slots;
        taken += count_running(b);
    }
    return taken < room;
}

enum err core_admit(const struct core *core, const struct caller *c, struct request **ret_victim,
                    struct error *error)
{
    if (core->draining)
        return fail(error, ERR_BACKEND_UNAVAILABLE, "the daemon is shutting down");
    if (!core_has_hope(core))
        return fail(error, ERR_BACKEND_UNAVAILABLE, "no backend available");

    *ret_victim = NULL;
    if (has_room(core))
        return OK;
    *ret_victim = queue_victim(&core->queue, c);
    if (!*ret_victim)
        return fail(error, ERR_QUEUE_FULL, "queue full: %zu requests wait, %zu may",
                    core->queue.requests.len, core->queue_depth);
    return OK;
}
