/*
 * admit.c - bounded admission.
 *
 * There is room while fewer requests are in the house than the slots and the queue
 * hold together.  A request that was abandoned is not counted: its place is free at
 * once, although the engine may need a moment to let go of its slot.
 *
 * Without room, one that waits may have to go instead; queue.c says whose.  Who is refused is
 * told when to come back: when half of the queue is through, so that there is room by then and
 * still work to do.
 */
#include "core/core.h"

enum {
    RETRY_LEAST_MS = 50,
    RETRY_UNKNOWN_MS = 1000,
    RETRY_MOST_MS = 60000,
    SERVICE_WEIGHT = 8, /* a request changes what is expected by an eighth */
};

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

enum err core_admit(const struct core *core, const struct submission *s,
                    struct request **ret_victim, struct error *error)
{
    if (core->draining)
        return fail(error, ERR_BACKEND_UNAVAILABLE, "the daemon is shutting down");
    enum err e = core_can_wait(core, s->needs, error);
    if (e)
        return e;

    *ret_victim = NULL;
    if (has_room(core))
        return OK;
    *ret_victim = queue_victim(&core->queue, s->origin.caller, s->later);
    if (!*ret_victim)
        return fail(error, ERR_QUEUE_FULL, "queue full: %zu requests wait, %zu may",
                    core->queue.requests.len, core->queue_depth);
    return OK;
}

/* --- when to come back ------------------------------------------------------ */

void core_note_served(struct core *core, int64_t us)
{
    if (core->service_us > 0)
        us = core->service_us + (us - core->service_us) / SERVICE_WEIGHT;
    core->service_us = us > 0 ? us : 1;
}

uint32_t core_retry_after_ms(int64_t service_us, size_t waiting, size_t running)
{
    if (service_us <= 0)
        return RETRY_UNKNOWN_MS;
    size_t before = waiting / 2 + 1;
    double turns = (double)before / (double)(running > 0 ? running : 1);
    double ms = turns * (double)service_us / 1000;
    if (ms < RETRY_LEAST_MS)
        return RETRY_LEAST_MS;
    return ms < RETRY_MOST_MS ? (uint32_t)ms : RETRY_MOST_MS;
}

struct crowd core_crowd(const struct core *core)
{
    size_t running = 0;
    LIST_EACH(const struct backend, b, &core->backends, link)
        running += count_running(b);
    return (struct crowd){
        .queue_depth = core->queue_depth,
        .retry_after_ms = core_retry_after_ms(core->service_us, core->queue.requests.len, running),
    };
}
