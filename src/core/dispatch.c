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

    request_move(r, REQUEST_DONE, NULL);
    request_free(r);
    if (sink && outcome)
        sink->ops->done(sink, &told, b->kind);
    else if (sink)
        sink->ops->failed(sink, error);
}

static void end_waiting(struct core *core, const struct error *error)
{
    struct link *first;
    while ((first = list_first(&core->waiting)))
        end(core, CONTAINER_OF(first, struct request, link), NULL, error);
}

static void end_running(struct backend *b, const struct error *error)
{
    struct link *first;
    while ((first = list_first(&b->running)))
        end(b->core, CONTAINER_OF(first, struct request, link), NULL, error);
}

/* --- to the engine ---------------------------------------------------------- */

static void hand_over(struct backend *b, struct request *r)
{
    char *order = TAKE(r->order);
    r->backend = b;
    r->started_us = clock_us();
    request_move(r, REQUEST_RUNNING, &b->running);
    engine_generate(b->engine, order, r->order_len);
}

void core_pump(struct core *core)
{
    struct backend *b;
    struct link *first;
    while ((first = list_first(&core->waiting)) && (b = core_route(core)))
        hand_over(b, CONTAINER_OF(first, struct request, link));

    if (core->waiting.len && !core_has_hope(core)) {
        struct error error;
        fail(&error, ERR_BACKEND_UNAVAILABLE, "no backend available");
        end_waiting(core, &error);
    }
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
    end(b->core, r, done ? &event->outcome : NULL, done ? NULL : &event->error);
    core_pump(b->core);
}

static void on_died(void *owner, const struct engine_end *end)
{
    struct backend *b = owner;
    b->core->ops->engine_died(b->core->owner, b, end);
}

static void on_lost(void *owner, const struct error *why)
{
    struct error error;
    fail(&error, ERR_BACKEND_UNAVAILABLE, "%s", why->message);
    end_running(owner, &error);
}

static void on_changed(void *owner)
{
    struct backend *b = owner;
    b->core->ops->backend_changed(b->core->owner, b);
    core_pump(b->core);
}

static const struct engine_ops engine_ops = { on_changed, on_news, on_died, on_lost };

/* --- what others call ------------------------------------------------------- */

enum err core_init(struct core *core, struct io *io, const struct backend_setup *setups, size_t n,
                   size_t queue_depth, const struct core_ops *ops, void *owner, struct error *error)
{
    *core = (struct core){ .ops = ops, .owner = owner, .io = io, .queue_depth = queue_depth };
    list_init(&core->waiting);
    core->backends = calloc(n, sizeof *core->backends);
    if (!core->backends)
        return fail_nomem(error);
    for (size_t i = 0; i < n; i++) {
        struct backend *b = &core->backends[i];
        b->core = core;
        b->name = setups[i].engine.name;
        b->kind = setups[i].kind;
        b->slots = setups[i].engine.slots;
        b->preparation = setups[i].preparation;
        list_init(&b->running);
        enum err e = engine_new(io, &setups[i].engine, &engine_ops, b, &b->engine, error);
        if (e) {
            core_done(core);
            return e;
        }
        core->n_backends++;
    }
    return OK;
}

void core_done(struct core *core)
{
    struct error error;
    fail(&error, ERR_BACKEND_UNAVAILABLE, "the daemon is shutting down");
    core->draining = true;
    end_waiting(core, &error);
    for (size_t i = 0; i < core->n_backends; i++) {
        struct backend *b = &core->backends[i];
        end_running(b, &error);
        if (b->job)
            job_orphan(b->job);
        engine_free(b->engine);
    }
    free(core->backends);
    core->backends = NULL;
    core->n_backends = 0;
}

void core_start(struct core *core)
{
    core_prepare(core);
}

uint64_t core_next_serial(struct core *core)
{
    return ++core->last_serial;
}

enum err core_submit(struct core *core, const struct submission *submission, struct request **ret,
                     struct error *error)
{
    enum err e = core_admit(core, error);
    if (e) {
        free(submission->order);
        return e;
    }
    struct request *r = request_new(submission);
    if (!r)
        return fail_nomem(error);
    *ret = r;
    request_move(r, REQUEST_WAITING, &core->waiting);
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
