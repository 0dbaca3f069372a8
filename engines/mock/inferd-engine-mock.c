/*
 * inferd-engine-mock - an engine that computes nothing and does as it is told.
 *
 * It keeps the whole contract of docs/engine-protocol.md, so that everything around
 * an engine can be tested with it: what it answers is an option of its backend or, if
 * `scripted`, a command in the request (plan.h).
 *
 * One thread.  Each turn takes at most one order and moves every running request on.
 * What they said leaves in one write, once the orders that came together are obeyed.
 * A request with much to say gets at most STEP_BYTES per turn, so that `pause` and
 * `cancel` are heard in the middle of it.  Requests that wait (for their time, for
 * `resume`, for `cancel`) cost nothing: the next order is awaited just so long as
 * nobody is due.
 */
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "options.h"
#include "worker.h"

enum {
    STEP_BYTES = 64 * 1024,
    CONTEXT = 8192, /* tokens that a request could have, if it had any */
};

enum stage { STAGE_NEW, STAGE_LOADING, STAGE_READY };

/* A request that runs. */
struct job {
    struct link link;
    struct order order; /* holds the text that the plan's pieces may lie in */
    struct plan plan;
    uint64_t sent; /* pieces */
    bool paused;
    int64_t began_us;
    int64_t due_us;   /* the next piece leaves no earlier */
    int64_t first_us; /* when the first and the last piece left */
    int64_t last_us;
};

struct mock {
    struct worker *worker;
    enum stage stage;
    struct order load; /* holds the options' text */
    struct options options;
    int64_t ready_us; /* LOADING: when it is over */
    struct list jobs;
    struct usage usage;
    bool draining;
};

/* --- the end of a request -------------------------------------------------- */

static void bury(struct mock *m, struct job *job)
{
    list_remove(&m->jobs, &job->link);
    plan_done(&job->plan);
    order_done(&job->order);
    free(job);
}

static void finish(struct mock *m, struct job *job, enum stop_reason stop)
{
    struct outcome outcome = {
        .stop = stop,
        .prompt_tokens = job->plan.prompt_tokens,
        .completion_tokens = job->sent,
    };
    if (job->sent > 0) {
        outcome.first_token_ms = (double)(job->first_us - job->began_us) / 1000;
        outcome.generate_ms = (double)(job->last_us - job->first_us) / 1000;
    }
    worker_finish(m->worker, job->order.serial, &outcome);
    bury(m, job);
}

/* What was said before still gets through; then nobody is there any more. */
static void flush_last_words(struct mock *m)
{
    enum err e = worker_flush(m->worker, NULL);
    if (e)
        _exit(0);
}

static void crash(struct mock *m, int sig)
{
    flush_last_words(m);
    signal(sig, SIG_DFL);
    raise(sig);
}

static void hang(struct mock *m)
{
    flush_last_words(m);
    for (;;)
        pause();
}

/* It is given back at once: what counts is that it was to be had. */
static void eat(struct mock *m, uint64_t mib)
{
    size_t size = (size_t)mib * 1024 * 1024;
    struct error error;
    char *all = malloc(size);
    if (!all) {
        flush_last_words(m);
        _exit(worker_leave(fail_nomem(&error), &error));
    }
    memset(all, 1, size);
    free(all);
}

/* All is said; the job may be gone afterwards. */
static void conclude(struct mock *m, struct job *job)
{
    const struct finale *finale = &job->plan.finale;
    switch (finale->ending) {
    case END_DONE:
        finish(m, job, STOP_END);
        break;
    case END_HOLD:
        break;
    case END_REFUSE:
        worker_refuse(m->worker, job->order.serial, finale->code, "%s", finale->message);
        bury(m, job);
        break;
    case END_CRASH:
        crash(m, finale->signal);
        break;
    case END_HANG:
        hang(m);
        break;
    case END_EAT:
        eat(m, finale->mib);
        finish(m, job, STOP_END);
        break;
    }
}

/* --- one turn -------------------------------------------------------------- */

static bool all_said(const struct job *job)
{
    return job->sent == job->plan.count;
}

static void say(struct mock *m, struct job *job, int64_t now)
{
    const struct plan *plan = &job->plan;
    worker_text(m->worker, job->order.serial, TEXT_ANSWER,
                plan->pieces[job->sent % plan->n_pieces]);
    if (job->sent++ == 0)
        job->first_us = now;
    job->last_us = now;
    job->due_us += m->options.token_delay_ms * 1000;
}

static void step(struct mock *m, struct job *job, int64_t now)
{
    size_t before = worker_unsent(m->worker);
    while (!all_said(job) && !job->paused && job->due_us <= now &&
           worker_unsent(m->worker) - before < STEP_BYTES)
        say(m, job, now);
    if (all_said(job))
        conclude(m, job);
}

static void become_ready(struct mock *m)
{
    struct event ready = { .kind = EVENT_READY, .capabilities = m->options.capabilities };
    ready.capabilities.slots = m->load.load.slots;
    worker_tell(m->worker, &ready);
    m->stage = STAGE_READY;
}

/* As if each piece were a token that is kept until the request ends. */
static void tell_usage(struct mock *m)
{
    m->usage.context_used = 0;
    m->usage.context_size = (uint64_t)m->load.load.slots * CONTEXT;
    LIST_EACH(const struct job, job, &m->jobs, link)
        m->usage.context_used += job->plan.prompt_tokens + job->sent;
    worker_usage(m->worker, &m->usage);
}

static void turn(struct mock *m)
{
    int64_t now = clock_us();
    if (m->stage == STAGE_LOADING && m->ready_us <= now)
        become_ready(m);
    LIST_EACH(struct job, job, &m->jobs, link)
        step(m, job, now);
    worker_progress(m->worker);
    if (m->stage == STAGE_READY)
        tell_usage(m);
}

/* When the next turn has something to do without being told so; INT64_MAX: never. */
static int64_t next_due_us(const struct mock *m)
{
    int64_t due = m->stage == STAGE_LOADING ? m->ready_us : INT64_MAX;
    LIST_EACH(const struct job, job, &m->jobs, link)
        if (!all_said(job) && !job->paused && job->due_us < due)
            due = job->due_us;
    return due;
}

/* For worker_next(): rounded up, or a turn would come too early for its work. */
static int wait_ms(int64_t due_us)
{
    if (due_us == INT64_MAX)
        return -1;
    int64_t left = due_us - clock_us();
    return left > 0 ? (int)((left + 999) / 1000) : 0;
}

/* --- orders ---------------------------------------------------------------- */

/* Takes `order`. */
static enum err load(struct mock *m, struct order *order, struct error *error)
{
    if (m->stage != STAGE_NEW) {
        order_done(order);
        return fail(error, ERR_PROTOCOL, "load came twice");
    }
    m->load = *order;
    struct event phase = { .kind = EVENT_PHASE,
                           .phase = { .phase = PHASE_CHECKING_LOCAL, .path = "(mock)" } };
    worker_tell(m->worker, &phase);
    m->stage = STAGE_LOADING;
    m->ready_us = INT64_MAX;

    struct error why;
    if (options_read(m->load.load.options, &m->options, &why))
        worker_refuse(m->worker, 0, ERR_INVALID_REQUEST, "%s", why.message);
    else
        m->ready_us = clock_us() + m->options.load_delay_ms * 1000;
    return OK;
}

static struct slice last_user_message(const struct generate *g)
{
    for (size_t i = g->n_messages; i-- > 0;)
        if (g->messages[i].role == ROLE_USER)
            return g->messages[i].content;
    return (struct slice){ "", 0 };
}

/* The order stays the caller's; on failure the plan is none. */
static enum err choose_plan(const struct mock *m, const struct order *order, struct plan *ret,
                            struct error *error)
{
    if (m->stage != STAGE_READY || m->draining)
        return fail(error, ERR_BACKEND_UNAVAILABLE, "backend not ready");
    if (m->options.scripted)
        return plan_read(last_user_message(&order->generate), ret, error);
    *ret = m->options.plan;
    ret->owned = NULL; /* it stays the options' */
    return OK;
}

/* Takes `order`. */
static void generate(struct mock *m, struct order *order)
{
    struct error why;
    struct job *job = calloc(1, sizeof *job);
    enum err e = job ? choose_plan(m, order, &job->plan, &why) : fail_nomem(&why);
    if (e) {
        worker_refuse(m->worker, order->serial, e, "%s", why.message);
        order_done(order);
        free(job);
        return;
    }
    job->order = *order;
    job->began_us = clock_us();
    job->due_us = job->began_us + m->options.token_delay_ms * 1000;
    m->usage.prompt_tokens += job->plan.prompt_tokens;
    list_append(&m->jobs, &job->link);
}

/* NULL: it has ended meanwhile. */
static struct job *find(const struct mock *m, uint64_t serial)
{
    LIST_EACH(struct job, job, &m->jobs, link)
        if (job->order.serial == serial)
            return job;
    return NULL;
}

static void set_paused(struct job *job, bool paused)
{
    /* The time it was silent is not made up for. */
    int64_t now = clock_us();
    if (job->paused && !paused && job->due_us < now)
        job->due_us = now;
    job->paused = paused;
}

/* Takes `order`. */
static enum err obey(struct mock *m, struct order *order, struct error *error)
{
    if (order->kind == ORDER_LOAD)
        return load(m, order, error);
    if (order->kind == ORDER_GENERATE) {
        generate(m, order);
        return OK;
    }
    struct job *job = find(m, order->serial);
    if (order->kind == ORDER_DRAIN)
        m->draining = true;
    else if (job && order->kind == ORDER_CANCEL)
        finish(m, job, STOP_CANCELLED);
    else if (job)
        set_paused(job, order->kind == ORDER_PAUSE);
    order_done(order);
    return OK;
}

/* --- the program ----------------------------------------------------------- */

/* Returns OK when drained. */
static enum err work(struct mock *m, struct error *error)
{
    bool more = false; /* came together with the last order */
    while (!m->draining || m->jobs.len > 0) {
        struct order order;
        int64_t due = next_due_us(m);
        worker_busy(m->worker, due != INT64_MAX);
        enum err e = worker_next(m->worker, more ? 0 : wait_ms(due), &order, error);
        if (e == OK)
            e = obey(m, &order, error);
        if (e && e != ERR_AGAIN)
            return e;
        turn(m);
        more = worker_waiting(m->worker) && worker_unsent(m->worker) < STEP_BYTES;
        e = more ? OK : worker_flush(m->worker, error);
        if (e)
            return e;
    }
    return worker_flush(m->worker, error);
}

int main(void)
{
    struct mock m = { .stage = STAGE_NEW };
    struct error error = { 0 };
    list_init(&m.jobs);
    enum err e = worker_open("inferd-engine-mock", &m.worker, &error);
    if (!e)
        e = work(&m, &error);

    LIST_EACH(struct job, job, &m.jobs, link)
        bury(&m, job);
    options_done(&m.options);
    order_done(&m.load);
    worker_free(m.worker);
    return e ? worker_leave(e, &error) : 0;
}
