/*
 * scheduler.c - many requests, one batch per step.
 *
 * A step decodes one token for each slot that writes, and fills what is left of
 * MODEL_BATCH with prompts, the oldest request first.  Then each slot whose last
 * token was in it gets its next one.
 *
 * The lowest free slot is taken first: streams are computed together where their
 * numbers follow each other.  Requests beyond the slots wait in `waiting`; the daemon
 * sends none, but nobody's mistake may cost an answer.
 */
#include "scheduler.h"

#include "base/clock.h"
#include "base/log.h"
#include "slot.h"

struct scheduler {
    struct worker *worker;     /* borrowed */
    struct intake *intake;     /* borrowed */
    const struct model *model; /* borrowed */
    struct slot *slots;        /* model->slots of them */
    struct list running;
    struct job *waiting; /* a chain, oldest first */
    bool draining;
    struct llama_batch batch;
    llama_token_data *scratch; /* for the samplers */
    struct told told;
};

/* --- the end of a request ---------------------------------------------------- */

static void release(struct scheduler *s, struct slot *slot)
{
    list_remove(&s->running, &slot->link);
    llama_memory_seq_rm(llama_get_memory(s->model->context), slot->seq, -1, -1);
    slot_end(slot);
}

static void finish(struct scheduler *s, struct slot *slot)
{
    worker_finish(s->worker, slot->job->serial, &slot->outcome);
    release(s, slot);
}

static void give_up(struct scheduler *s, struct slot *slot, enum err code, const char *message)
{
    worker_refuse(s->worker, slot->job->serial, code, "%s", message);
    release(s, slot);
}

/* --- orders ------------------------------------------------------------------ */

static struct slot *find_slot(struct scheduler *s, uint64_t serial)
{
    LIST_EACH(struct slot, slot, &s->running, link) {
        if (slot->job->serial == serial)
            return slot;
    }
    return NULL;
}

/* Unhook the waiting request `serial`; NULL if it does not wait. */
static struct job *unhook_waiting(struct scheduler *s, uint64_t serial)
{
    for (struct job **at = &s->waiting; *at; at = &(*at)->next)
        if ((*at)->serial == serial) {
            struct job *job = *at;
            *at = job->next;
            return job;
        }
    return NULL;
}

/* A serial that nobody has here crossed that request's end. */
static void cancel(struct scheduler *s, uint64_t serial)
{
    struct slot *slot = find_slot(s, serial);
    if (slot) {
        slot_stop(slot, STOP_CANCELLED);
        finish(s, slot);
        return;
    }
    struct job *job = unhook_waiting(s, serial);
    if (job) {
        struct outcome outcome = { .stop = STOP_CANCELLED, .prompt_tokens = job->n_prompt };
        worker_finish(s->worker, serial, &outcome);
        job_free(job);
    }
}

static void pause_slot(struct scheduler *s, uint64_t serial, bool paused)
{
    struct slot *slot = find_slot(s, serial);
    if (slot)
        slot->paused = paused;
}

/* Takes `job`. */
static void admit(struct scheduler *s, struct job *job)
{
    if (s->draining && !job->error.code)
        fail(&job->error, ERR_BACKEND_UNAVAILABLE, "the engine takes no more requests");
    if (job->error.code) {
        worker_refuse(s->worker, job->serial, job->error.code, "%s", job->error.message);
        job_free(job);
        return;
    }
    struct job **last = &s->waiting;
    while (*last)
        last = &(*last)->next;
    job->next = NULL;
    *last = job;
}

/* Takes `job`. */
static void obey(struct scheduler *s, struct job *job)
{
    switch (job->kind) {
    case ORDER_GENERATE:
        admit(s, job);
        return;
    case ORDER_CANCEL:
        cancel(s, job->serial);
        break;
    case ORDER_PAUSE:
    case ORDER_RESUME:
        pause_slot(s, job->serial, job->kind == ORDER_PAUSE);
        break;
    case ORDER_DRAIN:
        s->draining = true;
        break;
    case ORDER_LOAD: /* once is enough */
    case ORDER_VERIFY:
    case ORDER_PING: /* the worker's, never seen here */
        break;
    }
    job_free(job);
}

static void fill_slots(struct scheduler *s)
{
    for (uint32_t i = 0; i < s->model->slots && s->waiting; i++) {
        struct slot *slot = &s->slots[i];
        if (slot->job)
            continue;
        struct job *job = s->waiting;
        s->waiting = job->next;
        slot_begin(slot, job);
        list_append(&s->running, &slot->link);
    }
}

/* --- a step ------------------------------------------------------------------- */

static uint32_t offer_all(struct scheduler *s, bool reading, uint32_t room)
{
    LIST_EACH(struct slot, slot, &s->running, link) {
        if (!slot->paused && slot_reading(slot) == reading)
            room -= slot_offer(slot, &s->batch, room);
    }
    return room;
}

/* Slots write before others read: there are no more slots than places in a batch. */
static void build_batch(struct scheduler *s)
{
    s->batch.n_tokens = 0;
    LIST_EACH(struct slot, slot, &s->running, link) {
        slot->logits_at = -1;
    }
    uint32_t room = offer_all(s, false, MODEL_BATCH);
    offer_all(s, true, room);
}

static void tell(struct scheduler *s, const struct slot *slot)
{
    const struct told *t = &s->told;
    uint64_t serial = slot->job->serial;
    if (t->thinking.len)
        worker_text(s->worker, serial, TEXT_THINKING,
                    (struct slice){ t->thinking.at, t->thinking.len });
    if (t->answer.len)
        worker_text(s->worker, serial, TEXT_ANSWER, (struct slice){ t->answer.at, t->answer.len });
}

static void sample(struct scheduler *s, struct slot *slot)
{
    struct error error;
    enum slot_news news = SLOT_ENDED;
    llama_token token;
    float *logits = llama_get_logits_ith(s->model->context, slot->logits_at);
    enum err e = logits ? sampler_next(slot->job->sampler, logits, s->scratch, &token, &error)
                        : fail(&error, ERR_INTERNAL, "the model computed no answer");
    told_clear(&s->told);
    if (!e)
        e = slot_take(slot, s->model, token, &s->told, &news, &error);
    if (e) {
        give_up(s, slot, e, error.message);
        return;
    }
    tell(s, slot);
    if (news == SLOT_ENDED)
        finish(s, slot);
}

static void step(struct scheduler *s)
{
    build_batch(s);
    int32_t failed = llama_decode(s->model->context, s->batch);
    if (failed)
        log_error("llama_decode says %d; giving up %zu requests", failed, s->running.len);
    int64_t now = clock_us();
    LIST_EACH(struct slot, slot, &s->running, link) {
        if (failed) {
            give_up(s, slot, ERR_INTERNAL, "the model could not be computed");
        } else if (slot->logits_at >= 0) {
            if (!slot->first_token_us)
                slot->outcome.prompt_ms = (double)(now - slot->started_us) / 1000;
            sample(s, slot);
        }
    }
    worker_progress(s->worker);
}

static bool anything_to_compute(struct scheduler *s)
{
    LIST_EACH(struct slot, slot, &s->running, link) {
        if (!slot->paused)
            return true;
    }
    return false;
}

static enum err run(struct scheduler *s, struct error *error)
{
    for (;;) {
        bool idle = !anything_to_compute(s);
        if (idle && s->draining && s->running.len == 0)
            return OK;
        struct job *job = intake_take(s->intake, idle);
        worker_busy(s->worker, true);
        while (job) {
            struct job *next = job->next;
            obey(s, job);
            job = next;
        }
        fill_slots(s);
        if (anything_to_compute(s))
            step(s);
        enum err e = worker_flush(s->worker, error);
        if (e)
            return e;
    }
}

enum err scheduler_run(struct worker *w, struct intake *intake, const struct model *model,
                       struct error *error)
{
    struct scheduler s = { .worker = w, .intake = intake, .model = model };
    list_init(&s.running);
    told_init(&s.told);
    CLEANUP(free_ptr) struct slot *slots = calloc(model->slots, sizeof *slots);
    CLEANUP(free_ptr)
    llama_token_data *scratch = calloc((size_t)llama_vocab_n_tokens(model->vocab), sizeof *scratch);
    if (!slots || !scratch)
        return fail_nomem(error);
    for (uint32_t i = 0; i < model->slots; i++)
        slots[i].seq = (llama_seq_id)i;
    s.slots = slots;
    s.scratch = scratch;
    s.batch = llama_batch_init(MODEL_BATCH, 0, 1);

    enum err e = run(&s, error);
    llama_batch_free(s.batch);
    told_done(&s.told);
    return e;
}
