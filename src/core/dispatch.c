/*
 * dispatch.c - requests to engines, news to sinks.
 *
 * Requests do not cross process borders, their serials do: news names a serial, and
 * if no request has it any more, the news is late and nobody's.
 *
 * Every request ends in end(), and nowhere else.
 */
#include "core/core.h"

#include "base/clock.h"

/* --- the end of a request --------------------------------------------------- */

static void report(struct core *core, const struct request *r, const struct outcome *outcome,
                   const struct error *error)
{
    enum report_end end = !r->sink ? REPORT_ABANDONED : outcome ? REPORT_DONE : REPORT_FAILED;
    if (end == REPORT_DONE)
        core_note_served(core, clock_us() - r->started_us);
    struct report report = request_report(r, end, error ? error->code : OK, outcome);
    core->ops->reported(core->owner, &report);
}

/* `outcome` or `error`, one of them NULL; both if nobody listens. */
static void end(struct core *core, struct request *r, const struct outcome *outcome,
                const struct error *error)
{
    struct sink *sink = r->sink;
    struct backend *b = r->backend;
    struct outcome told = outcome ? *outcome : (struct outcome){ 0 };
    told.queue_ms = (double)(r->started_us - r->submitted_us) / 1000;
    report(core, r, outcome, error);

    if (r->state == REQUEST_WAITING)
        queue_remove(&core->queue, r);
    request_move(r, REQUEST_DONE, NULL);
    request_free(&core->callers, r);
    if (sink && outcome)
        sink->ops->done(sink, &told, b->kind);
    else if (sink)
        sink->ops->failed(sink, error);
}

static void end_waiting(struct core *core, const struct error *error)
{
    struct link *first;
    while ((first = list_first(&core->queue.requests)))
        end(core, CONTAINER_OF(first, struct request, link), NULL, error);
}

static void end_running(struct backend *b, const struct error *error)
{
    struct link *first;
    while ((first = list_first(&b->running)))
        end(b->core, CONTAINER_OF(first, struct request, link), NULL, error);
}

/* --- those that may kill their engine --------------------------------------- */

static enum err refuse_poison(struct error *error)
{
    return fail(error, ERR_INVALID_REQUEST,
                "the engine died %d times while it worked on this request and nothing else; it is "
                "refused for an hour after the last of them",
                DEATHS_ALONE_MAX);
}

static void accuse_running(struct backend *b)
{
    int64_t now = clock_ms();
    LIST_EACH(const struct request, r, &b->running, link)
        poison_accuse(&b->core->poison, &r->print, r->suspect, now);
}

/* What was cancelled has shown nothing. */
static void acquit(struct core *core, const struct request *r, const struct event *event)
{
    if (r->suspect && (event->kind != EVENT_DONE || event->outcome.stop != STOP_CANCELLED))
        poison_clear(&core->poison, &r->print);
}

/* --- to the engine ---------------------------------------------------------- */

static void hand_over(struct backend *b, struct request *r, bool suspect)
{
    char *order = TAKE(r->order);
    queue_take(&b->core->queue, r);
    r->backend = b;
    r->suspect = suspect;
    b->used_ms = clock_ms();
    r->started_us = clock_us();
    request_move(r, REQUEST_RUNNING, &b->running);
    breaker_began(&b->breaker, b->used_ms, r->serial);
    engine_generate(b->engine, order, r->order_len);
}

/* What killed its engine again while it waited is not tried once more. */
static void start(struct backend *b, struct request *r)
{
    struct error error;
    enum verdict verdict = poison_judge(&b->core->poison, &r->print, clock_ms());
    if (verdict == POISON_REFUSED) {
        refuse_poison(&error);
        end(b->core, r, NULL, &error);
    } else {
        hand_over(b, r, verdict == POISON_SUSPECT);
    }
}

static bool has_needs(void *needs, const struct request *r)
{
    return r->needs == *(unsigned *)needs;
}

/* Start what those who have these needs wait for, and end them if there is nothing to wait
 * for.  Either may tell others, who come back here. */
static void see_to(struct core *core, unsigned needs)
{
    struct error error;
    if (core_load_on_demand(core, needs))
        return;
    while (core->queue.needing[needs] > 0 && core_can_wait(core, needs, &error))
        end(core, queue_next(&core->queue, has_needs, &needs), NULL, &error);
}

void core_pump(struct core *core)
{
    struct backend *b;
    struct request *r;
    while ((r = core_choose(core, &b)))
        start(b, r);
    for (unsigned needs = 0; core->queue.requests.len > 0 && needs < NEED_MASKS; needs++)
        if (core->queue.needing[needs] > 0)
            see_to(core, needs);
}

/* --- from the engine -------------------------------------------------------- */

static struct request *find_running(struct backend *b, uint64_t serial)
{
    LIST_EACH(struct request, r, &b->running, link)
        if (r->serial == serial)
            return r;
    return NULL;
}

static void on_news(void *owner, const struct event *event)
{
    struct backend *b = owner;
    struct request *r = find_running(b, event->serial);
    if (!r)
        return;
    if (event->kind == EVENT_TEXT) {
        request_note_text(r);
        if (r->sink)
            r->sink->ops->text(r->sink, event->text_kind, event->text);
        return;
    }
    bool done = event->kind == EVENT_DONE;
    core_judge(b, event);
    acquit(b->core, r, event);
    end(b->core, r, done ? &event->outcome : NULL, done ? NULL : &event->error);
    if (b->retired)
        core_retire_idle(b->core);
    core_pump(b->core);
}

/* A suspect that was alone has shown what it is, which is nothing against its engine; and one
 * whose engine can't work on this processor is none. */
static bool on_died(void *owner, const struct engine_end *end)
{
    struct backend *b = owner;
    bool blamed = !end->excused && !backend_has_suspect(b);
    b->deaths++;
    b->core->ops->engine_died(b->core->owner, b, end);
    if (!end->excused)
        accuse_running(b);
    core_judge_death(b, blamed);
    return blamed;
}

static void on_lost(void *owner, const struct error *why)
{
    struct error error;
    fail(&error, ERR_BACKEND_UNAVAILABLE, "%s", why->message);
    end_running(owner, &error);
}

/* Where memory is short, an engine runs fewer requests at a time than it was asked to. */
static void learn_abilities(struct backend *b)
{
    b->able = *engine_capabilities(b->engine);
    b->slots = b->able.slots < b->setup.engine.slots ? b->able.slots : b->setup.engine.slots;
}

/* How a retired backend is nobody needs to know, but that it has nothing left to do. */
static void on_changed(void *owner)
{
    struct backend *b = owner;
    if (b->retired) {
        core_retire_idle(b->core);
        return;
    }
    if (backend_state(b) == ENGINE_READY)
        learn_abilities(b);
    b->core->ops->backend_changed(b->core->owner, b);
    core_pump(b->core);
}

static const struct engine_ops engine_ops = { on_changed, on_news, on_died, on_lost };
const struct engine_ops *const core_engine_ops = &engine_ops;

/* --- what others call ------------------------------------------------------- */

enum err core_init(struct core *core, struct io *io, const struct core_ops *ops, void *owner,
                   struct error *error)
{
    *core = (struct core){ .ops = ops, .owner = owner, .io = io };
    queue_init(&core->queue);
    callers_init(&core->callers);
    list_init(&core->backends);
    list_init(&core->retired);
    uv_timer_init(io->loop, &core->reaper); /* neither of the two can fail */
    uv_timer_init(io->loop, &core->idle);
    core->reaper.data = core->idle.data = core;
    core_watch_idle(core);
    return poison_init(&core->poison, error);
}

void core_done(struct core *core)
{
    struct error error;
    struct list *const lists[] = { &core->backends, &core->retired };
    fail(&error, ERR_BACKEND_UNAVAILABLE, "the daemon is shutting down");
    core->draining = true;
    end_waiting(core, &error);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        LIST_EACH(struct backend, b, lists[i], link)
            end_running(b, &error);
    core_free_backends(core);
}

void core_start(struct core *core)
{
    core_prepare(core);
    core_pump(core);
}

uint64_t core_next_serial(struct core *core)
{
    return ++core->last_serial;
}

/* It was in the queue and has to leave it for another caller's request. */
static void give_way(struct core *core, struct request *r)
{
    struct error error;
    fail(&error, ERR_QUEUE_FULL, "queue full: %zu requests may wait, and %s", core->queue_depth,
         r->later ? "what can wait until later made room"
                  : "of those who wait this caller had most");
    end(core, r, NULL, &error);
}

enum err core_submit(struct core *core, const struct submission *submission, struct request **ret,
                     struct error *error)
{
    struct request *victim;
    bool refused = poison_judge(&core->poison, &submission->print, clock_ms()) == POISON_REFUSED;
    enum err e = refused ? refuse_poison(error) : core_admit(core, submission, &victim, error);
    if (e) {
        free(submission->order);
        return e;
    }
    struct request *r = request_new(submission);
    if (!r)
        return fail_nomem(error);
    *ret = r;
    queue_add(&core->queue, r);
    if (victim) /* only now: its client may ask for the free place at once */
        give_way(core, victim);
    core_pump(core);
    return OK;
}

void core_abandon(struct core *core, struct request *r)
{
    r->sink = NULL;
    if (r->state == REQUEST_WAITING) {
        end(core, r, NULL, NULL);
    } else {
        struct backend *b = r->backend;
        request_move(r, REQUEST_CANCELLING, &b->running);
        engine_tell(b->engine, ORDER_CANCEL, r->serial);
    }
}

/* One that runs ends as its engine says it did. */
enum err core_cancel(struct core *core, uint64_t serial, struct error *error)
{
    LIST_EACH(struct request, r, &core->queue.requests, link) {
        if (r->serial != serial)
            continue;
        struct error why;
        fail(&why, ERR_BACKEND_UNAVAILABLE, "cancelled by the operator");
        end(core, r, NULL, &why);
        return OK;
    }
    struct list *const lists[] = { &core->backends, &core->retired };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        LIST_EACH(struct backend, b, lists[i], link) {
            if (!find_running(b, serial))
                continue;
            engine_tell(b->engine, ORDER_CANCEL, serial);
            return OK;
        }
    return fail(error, ERR_NOT_FOUND, "no request has the serial %llu (any more)",
                (unsigned long long)serial);
}

void core_pause(struct request *r, bool pause)
{
    if (r->state == REQUEST_RUNNING)
        engine_tell(r->backend->engine, pause ? ORDER_PAUSE : ORDER_RESUME, r->serial);
}

void core_drain(struct core *core)
{
    struct error error;
    fail(&error, ERR_BACKEND_UNAVAILABLE, "the daemon is shutting down");
    core->draining = true;
    end_waiting(core, &error);
}
