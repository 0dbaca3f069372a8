/*
 * intake.c - a desk and two lanes.
 *
 * The desk takes what comes in the moment it comes.  What is still to be prepared is an
 * item in a lane; all else is a job right away.  An item that is cancelled while it is
 * prepared can't be stopped (the tokenizer does not ask), but nobody waits for it: its end
 * is told at once, and what came of it is thrown away.
 *
 * One lock for all of it; nobody holds it while something is prepared.  An order that
 * can't be taken in for lack of memory can't be answered either: then the process ends,
 * and the daemon answers.
 */
#include "intake.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/log.h"
#include "deep.h"
#include "quiet.h"

enum {
    SHORT_BYTES = 16 * 1024,    /* read within a tenth of a second with any vocabulary */
    TEMPLATE_BYTES = 64 * 1024, /* of a prompt, beside its messages */
};

/* A request that is not ready. */
struct item {
    struct item *next;
    struct order order;
    struct job *job;
    struct job *then; /* orders about it that came later, oldest first */
    bool cancelled;
};

struct lane {
    struct intake *intake;
    struct deep deep;
    pthread_cond_t filled;
    struct item *current; /* being prepared */
    struct item *first;   /* waiting, oldest first */
};

enum { SHORT, LONG, N_LANES };

struct intake {
    struct worker *worker;     /* borrowed */
    struct inbox *inbox;       /* borrowed */
    const struct model *model; /* borrowed */
    struct lane lanes[N_LANES];
    pthread_t desk;
    pthread_mutex_t lock;
    pthread_cond_t ready;
    struct job *first; /* ready, oldest first */
    struct job *drain; /* comes when no lane has anything left */
    bool draining;     /* the desk's: it came in */
    bool awaited;      /* the taker sleeps */
    atomic_uint cancels;
};

void job_free(struct job *job)
{
    if (!job)
        return;
    free(job->prompt);
    sampler_free(job->sampler);
    reply_done(&job->reply);
    free(job);
}

static void *must_have(void *memory)
{
    if (!memory) {
        log_error("no memory for an order");
        _exit(1);
    }
    return memory;
}

static struct job *new_job(enum order_kind kind, uint64_t serial)
{
    struct job *job = must_have(calloc(1, sizeof *job));
    job->kind = kind;
    job->serial = serial;
    return job;
}

static void append(struct job **chain, struct job *job)
{
    while (*chain)
        chain = &(*chain)->next;
    *chain = job;
}

/* --- under the lock ---------------------------------------------------------------- */

static bool preparing(const struct intake *in)
{
    for (size_t i = 0; i < N_LANES; i++)
        if (in->lanes[i].current || in->lanes[i].first)
            return true;
    return false;
}

/* Takes the chain `job`. */
static void post(struct intake *in, struct job *job)
{
    append(&in->first, job);
    for (; job; job = job->next)
        in->cancels += job->kind == ORDER_CANCEL;
    pthread_cond_signal(&in->ready);
}

/* A lane has one item less. */
static void settle(struct intake *in)
{
    if (!preparing(in)) {
        if (in->drain)
            post(in, in->drain);
        in->drain = NULL;
    }
    if (in->awaited)
        worker_busy(in->worker, in->first || preparing(in));
}

static struct item *find(struct intake *in, uint64_t serial)
{
    for (size_t i = 0; i < N_LANES; i++) {
        struct item *item = in->lanes[i].current;
        if (item && item->order.serial == serial && !item->cancelled)
            return item;
        for (item = in->lanes[i].first; item; item = item->next)
            if (item->order.serial == serial)
                return item;
    }
    return NULL;
}

/* Take an item that waits out of its lane; false if it does not wait any more. */
static bool unhook(struct intake *in, const struct item *item)
{
    for (size_t i = 0; i < N_LANES; i++) {
        for (struct item **at = &in->lanes[i].first; *at; at = &(*at)->next) {
            if (*at == item) {
                *at = item->next;
                return true;
            }
        }
    }
    return false;
}

static void item_free(struct item *item)
{
    while (item->then) {
        struct job *next = item->then->next;
        job_free(item->then);
        item->then = next;
    }
    job_free(item->job);
    order_done(&item->order);
    free(item);
}

/* --- lanes ------------------------------------------------------------------------- */

static void prepare(const struct lane *lane, const struct generate *g, struct job *job)
{
    const struct model *model = lane->intake->model;
    job->max_tokens = g->max_tokens;
    job->asker = g->asker;
    enum err e = reply_init(&job->reply, model->chat, g, &job->error);
    if (!e)
        e = sampler_new(model->vocab, g, &job->sampler, &job->error);
    struct hearsay unheard; /* it may quote the messages */
    quiet_listen(&unheard);
    if (!e)
        e = chat_prompt(model->chat, g->messages, g->n_messages, model->n_ctx,
                        deep_text_max(&lane->deep), &job->prompt, &job->n_prompt, &job->error);
    quiet_listen(NULL);
    job->error.code = e;
    deep_rest(&lane->deep);
}

static struct item *take_item(struct lane *lane)
{
    struct intake *in = lane->intake;
    pthread_mutex_lock(&in->lock);
    while (!lane->first)
        pthread_cond_wait(&lane->filled, &in->lock);
    struct item *item = lane->current = lane->first;
    lane->first = item->next;
    pthread_mutex_unlock(&in->lock);
    return item;
}

static void hand_on(struct lane *lane, struct item *item)
{
    struct intake *in = lane->intake;
    pthread_mutex_lock(&in->lock);
    lane->current = NULL;
    if (!item->cancelled) {
        item->job->next = item->then;
        post(in, item->job);
        item->job = item->then = NULL;
    }
    settle(in);
    pthread_mutex_unlock(&in->lock);
    worker_progress(in->worker);
}

static void *run_lane(void *arg)
{
    struct lane *lane = arg;
    for (;;) {
        struct item *item = take_item(lane);
        prepare(lane, &item->order.generate, item->job);
        hand_on(lane, item);
        item_free(item);
    }
    return NULL;
}

/* --- the desk ------------------------------------------------------------------------ */

/* Takes `order`. */
static void turn_away(struct intake *in, struct order *order)
{
    struct job *job = new_job(ORDER_GENERATE, order->serial);
    fail(&job->error, ERR_BACKEND_UNAVAILABLE, "the engine takes no more requests");
    order_done(order);
    pthread_mutex_lock(&in->lock);
    post(in, job);
    pthread_mutex_unlock(&in->lock);
}

/* Takes `order`. */
static void queue(struct intake *in, struct order *order)
{
    struct item *item = must_have(calloc(1, sizeof *item));
    bool is_short = order->text_len + order->generate.grammar.len <= SHORT_BYTES;
    struct lane *lane = &in->lanes[is_short ? SHORT : LONG];
    item->order = *order;
    item->job = new_job(ORDER_GENERATE, order->serial);

    pthread_mutex_lock(&in->lock);
    struct item **last = &lane->first;
    while (*last)
        last = &(*last)->next;
    *last = item;
    worker_busy(in->worker, true);
    pthread_cond_signal(&lane->filled);
    pthread_mutex_unlock(&in->lock);
}

/* It will not be ready. */
static void drop(struct intake *in, struct item *item)
{
    item->cancelled = true;
    if (unhook(in, item)) {
        item_free(item);
        settle(in);
    }
}

/* End the request if it is not ready yet. */
static bool cancel(struct intake *in, uint64_t serial)
{
    pthread_mutex_lock(&in->lock);
    struct item *item = find(in, serial);
    if (item)
        drop(in, item);
    pthread_mutex_unlock(&in->lock);
    if (item)
        worker_finish_now(in->worker, serial, &(struct outcome){ .stop = STOP_CANCELLED });
    return item != NULL;
}

/* An order that needs no preparation. */
static void file(struct intake *in, enum order_kind kind, uint64_t serial)
{
    if (kind == ORDER_CANCEL && cancel(in, serial))
        return;
    pthread_mutex_lock(&in->lock);
    struct item *item = serial ? find(in, serial) : NULL;
    if (item)
        append(&item->then, new_job(kind, serial));
    else if (kind == ORDER_DRAIN && preparing(in))
        append(&in->drain, new_job(kind, serial));
    else
        post(in, new_job(kind, serial));
    pthread_mutex_unlock(&in->lock);
}

/* Takes `order`. */
static void take_in(struct intake *in, struct order *order)
{
    if (order->kind == ORDER_GENERATE && in->draining) {
        turn_away(in, order);
    } else if (order->kind == ORDER_GENERATE) {
        queue(in, order);
    } else {
        in->draining |= order->kind == ORDER_DRAIN;
        file(in, order->kind, order->serial);
        order_done(order);
    }
}

static void *run_desk(void *arg)
{
    struct intake *in = arg;
    for (;;) {
        struct letter *letter = inbox_take(in->inbox, -1);
        while (letter) {
            struct letter *next = letter->next;
            take_in(in, &letter->order);
            free(letter);
            letter = next;
        }
    }
    return NULL;
}

/* --- the taker ------------------------------------------------------------------------ */

static enum err start_lane(struct intake *in, struct lane *lane, struct error *error)
{
    lane->intake = in;
    pthread_cond_init(&lane->filled, NULL); /* cannot fail without attributes */
    enum err e = deep_init(&lane->deep, chat_bytes_max(in->model->n_ctx) + TEMPLATE_BYTES, error);
    return e ? e : deep_start(&lane->deep, run_lane, lane, error);
}

static enum err start_desk(struct intake *in, struct error *error)
{
    errno = pthread_create(&in->desk, NULL, run_desk, in);
    return errno ? fail_sys(error, "cannot start a thread") : OK;
}

enum err intake_start(struct worker *w, struct inbox *inbox, const struct model *model,
                      struct intake **ret, struct error *error)
{
    struct intake *in = calloc(1, sizeof *in);
    if (!in)
        return fail_nomem(error);
    in->worker = w;
    in->inbox = inbox;
    in->model = model;
    pthread_mutex_init(&in->lock, NULL);
    pthread_cond_init(&in->ready, NULL);
    enum err e = OK;
    for (size_t i = 0; !e && i < N_LANES; i++)
        e = start_lane(in, &in->lanes[i], error);
    if (!e)
        e = start_desk(in, error);
    if (!e)
        *ret = in;
    return e; /* a failure ends the process, and with it what was started */
}

struct job *intake_take(struct intake *in, bool wait)
{
    pthread_mutex_lock(&in->lock);
    in->awaited = wait;
    while (wait && !in->first) {
        worker_busy(in->worker, preparing(in));
        pthread_cond_wait(&in->ready, &in->lock);
    }
    in->awaited = false;
    struct job *chain = in->first;
    in->first = NULL;
    pthread_mutex_unlock(&in->lock);
    return chain;
}

unsigned intake_cancel_count(struct intake *in)
{
    return in->cancels;
}

bool intake_cancels(struct intake *in, uint64_t serial)
{
    bool found = false;
    pthread_mutex_lock(&in->lock);
    for (const struct job *job = in->first; job && !found; job = job->next)
        found = job->kind == ORDER_CANCEL && job->serial == serial;
    pthread_mutex_unlock(&in->lock);
    return found;
}
