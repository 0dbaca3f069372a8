/*
 * scheduler.c - many requests, one batch per pass.
 *
 * Passes that write and passes that read take turns.  The first kind decodes one token for each
 * slot that writes, the second as much of prompts as the pace of those allows (pace.h), the
 * oldest request first but for short ones.  Then each slot whose last known token was in it
 * gets its next one.  In one pass they would be no faster: the library computes sequences of
 * unequal length apart, and who writes would wait for who reads.
 *
 * Tokens stand in a batch in the order of their slots' places: the library computes those
 * together whose places follow each other, in that order.  So those few who stand between two
 * that write add a token to their pass, which would be two passes without: the next one that
 * they read, or the last one of an answer that has just ended.
 *
 * Prompts that are read at once and differ by a few tokens in length would be as many passes as
 * they have lengths.  They are cut to the same length, and the rest are rows in passes that write.
 *
 * With two or three rows the library's kernels may take longer than with one at a time
 * (model.h); so few are written for one after another.
 *
 * A slot whose prompt begins like one that is being read waits until that much is read, and
 * gets a copy (seat.h).  Requests beyond the slots wait in `waiting`; the daemon sends none,
 * but nobody's mistake may cost an answer.
 *
 * A pass that takes long for a request that nobody wants any more is broken off.  What others
 * had in it is decoded again.
 */
#include "scheduler.h"

#include "base/clock.h"
#include "base/log.h"
#include "pace.h"
#include "room.h"
#include "rows.h"
#include "seat.h"

enum {
    CANCEL_WITHIN_US = 50 * 1000,
    SHORT = 4, /* times as long is long */

    /* llama_decode()'s words for it */
    DECODE_NO_ROOM = 1,
    DECODE_BROKEN_OFF = 2,
};

struct scheduler {
    struct worker *worker;     /* borrowed */
    struct intake *intake;     /* borrowed */
    const struct model *model; /* borrowed */
    struct seats seats;
    struct pace pace;
    struct list running;
    struct job *waiting; /* a chain, oldest first */
    bool draining;
    struct llama_batch batch;
    llama_token_data *scratch; /* for the samplers */
    struct row *rows;          /* one for each place */
    struct told told;
    struct usage usage;

    bool wrote; /* this pass, or the last one: then it is the turn of those that read */
    int64_t pass_began_us;
    double pass_estimate_us; /* 0: unknown */
    unsigned cancels_seen;   /* of the intake's */
};

/* --- the end of a request ---------------------------------------------------- */

static void release(struct scheduler *s, struct slot *slot)
{
    s->usage.prompt_tokens += slot->outcome.prompt_tokens;
    s->usage.cached_tokens += slot->outcome.cached_tokens;
    list_remove(&s->running, &slot->link);
    seats_leave(&s->seats, slot);
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
    for (struct job *job = s->waiting; job; job = job->next)
        if (job->serial == serial)
            job->paused = paused;
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
    while (s->waiting) {
        struct job *next = s->waiting->next;
        if (!room_for(&s->seats, &s->running, s->waiting))
            return;
        struct slot *slot = seats_take(&s->seats, s->waiting);
        if (!slot)
            return;
        s->waiting = next;
        slot->paused = slot->job->paused;
        list_append(&s->running, &slot->link);
    }
}

/* --- what is in a pass -------------------------------------------------------- */

static bool can_run(const struct scheduler *s, const struct slot *slot)
{
    return !slot->paused && !room_lacks(&s->seats, &s->running, slot);
}

static bool can_write(const struct slot *slot)
{
    return !slot->paused && !slot_reading(slot);
}

static bool can_read(struct scheduler *s, struct slot *slot)
{
    return can_run(s, slot) && slot_reading(slot) && !seats_wait(&s->seats, &s->running, slot);
}

static uint32_t count_writers(struct scheduler *s)
{
    uint32_t writers = 0;
    LIST_EACH(struct slot, slot, &s->running, link) {
        writers += can_write(slot);
    }
    return writers;
}

/* May a pass be broken off?  Not where it has overwritten what can't be had back: a state,
 * or tokens that left a window and are inside it again once the pass is undone. */
static bool can_break_off(const struct scheduler *s)
{
    return s->model->rewind.possible && s->model->rewind.window == 0;
}

/* All that it had to read is little. */
static bool is_brief(const struct slot *slot)
{
    return slot->n_tokens - slot->outcome.cached_tokens <= MODEL_BATCH;
}

/* Let a slot read up to `n` tokens; how many. */
static uint32_t give(struct scheduler *s, struct slot *slot, uint32_t n)
{
    uint32_t left = slot_left(slot);
    if (n == 0)
        return 0;
    slot->n_offered = seats_cut(&s->seats, &s->running, slot, n < left ? n : left);
    return slot->n_offered;
}

/* The one with the least left to read, if that is little beside what the oldest has left. */
static struct slot *find_short(struct scheduler *s)
{
    struct slot *oldest = NULL, *found = NULL;
    LIST_EACH(struct slot, slot, &s->running, link) {
        if (!slot->reads)
            continue;
        if (!oldest)
            oldest = slot;
        if (!found || slot_left(slot) < slot_left(found))
            found = slot;
    }
    return found && slot_left(found) <= slot_left(oldest) / SHORT ? found : NULL;
}

/* Is what is left of its prompt for the passes that write? */
static bool reads_by_rows(const struct scheduler *s, const struct slot *slot, uint32_t writers)
{
    return slot_left(slot) <= slot->rest && writers >= ROWS_TILE &&
           writers >= s->model->together_from;
}

/* How much of prompts to read now, by the pace of those that write and, where a pass can't be
 * broken off, by how long a cancellation may take. */
static uint32_t reading_room(struct scheduler *s, uint32_t writers)
{
    uint32_t wanted = 0, soon = 0;
    bool brief = true;
    LIST_EACH(struct slot, slot, &s->running, link) {
        slot->reads = can_read(s, slot) && !reads_by_rows(s, slot, writers);
        soon += !slot->paused && slot_reading(slot) && is_brief(slot);
        if (!slot->reads)
            continue;
        wanted += slot_left(slot);
        brief = brief && is_brief(slot);
    }
    pace_expect(&s->pace, writers + soon);
    if (wanted == 0)
        return 0;
    if (wanted > MODEL_BATCH)
        wanted = MODEL_BATCH;
    if (!can_break_off(s))
        wanted = pace_within(&s->pace, CANCEL_WITHIN_US, wanted);
    return pace_chunk(&s->pace, writers, wanted, brief);
}

/* Cut what is offered of prompts to few lengths, where several are read at once.  What is left of
 * one whose end that was is for the passes that write. */
static void level(struct scheduler *s)
{
    for (uint32_t i = 0; i < s->seats.n; i++)
        s->rows[i].tokens = s->seats.at[i]->n_offered;
    rows_level(s->rows, s->seats.n);
    for (uint32_t i = 0; i < s->seats.n; i++) {
        struct slot *slot = s->seats.at[i];
        uint32_t cut = slot->n_offered - s->rows[i].tokens;
        if (cut && slot->n_offered == slot_left(slot))
            slot->rest = cut;
        slot->n_offered -= cut;
    }
}

/* A short prompt gets half of what is read, so that it need not wait for a long one; else
 * the oldest is first.  How many tokens. */
static uint32_t offer_reading(struct scheduler *s, uint32_t writers)
{
    uint32_t room = reading_room(s, writers);
    uint32_t left = room;
    if (room == 0)
        return 0;
    struct slot *first = find_short(s);
    if (first)
        left -= give(s, first, (room + 1) / 2);
    LIST_EACH(struct slot, slot, &s->running, link) {
        if (slot->reads && slot != first)
            left -= give(s, slot, left);
    }
    if (!s->model->unified)
        level(s);
    uint32_t n = 0;
    LIST_EACH(struct slot, slot, &s->running, link) {
        n += slot->n_offered;
    }
    return n;
}

/* It does not write, but has a token to decode all the same. */
static bool has_a_row(const struct scheduler *s, const struct slot *slot)
{
    return slot->job ? slot->reads : can_break_off(s) && slot_trails(slot);
}

/* Let those who stand between or beside others add a token to the pass, where that costs nothing. */
static void fill_up(struct scheduler *s)
{
    for (uint32_t i = 0; i < s->seats.n; i++) {
        struct slot *slot = s->seats.at[i];
        s->rows[i] = (struct row){ slot->n_offered, !slot->n_offered && has_a_row(s, slot) };
    }
    rows_fill_up(s->rows, s->seats.n);
    for (uint32_t i = 0; i < s->seats.n; i++) {
        struct slot *slot = s->seats.at[i];
        if (slot->n_offered || !s->rows[i].tokens)
            continue;
        if (slot->job)
            give(s, slot, 1);
        else
            slot->n_offered = 1;
    }
}

static void offer_writing(struct scheduler *s, uint32_t writers)
{
    LIST_EACH(struct slot, slot, &s->running, link) {
        slot->reads = can_read(s, slot); /* before anybody adds to what others may copy */
    }
    LIST_EACH(struct slot, slot, &s->running, link) {
        slot->n_offered = can_write(slot);
        if (slot->reads && reads_by_rows(s, slot, writers))
            give(s, slot, 1);
    }
    if (!s->model->unified)
        fill_up(s);
}

/* How many tokens there are to compute. */
static uint32_t build_batch(struct scheduler *s)
{
    s->batch.n_tokens = 0;
    for (uint32_t i = 0; i < s->seats.n; i++) {
        struct slot *slot = s->seats.at[i];
        slot->logits_at = -1;
        if (slot->n_offered)
            slot_offer(slot, &s->batch, slot->n_offered);
    }
    return (uint32_t)s->batch.n_tokens;
}

/* --- a pass that nobody wants --------------------------------------------------- */

/* Is most of this pass for requests that were cancelled since it began? */
static bool is_unwanted(struct scheduler *s)
{
    uint32_t wanted = 0, unwanted = 0;
    LIST_EACH(struct slot, slot, &s->running, link) {
        if (slot->n_offered && intake_cancels(s->intake, slot->job->serial))
            unwanted += slot->n_offered;
        else
            wanted += slot->n_offered;
    }
    return unwanted > wanted;
}

/* ggml asks before it computes each part of a pass, on the thread that called decode. */
static bool break_off(void *scheduler)
{
    struct scheduler *s = scheduler;
    unsigned cancels = intake_cancel_count(s->intake);
    if (cancels == s->cancels_seen)
        return false;
    s->cancels_seen = cancels;
    double rest = s->pass_estimate_us - (double)(clock_us() - s->pass_began_us);
    if (s->pass_estimate_us > 0 && rest < CANCEL_WITHIN_US)
        return false;
    return can_break_off(s) && is_unwanted(s);
}

/* --- a pass ------------------------------------------------------------------- */

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

static void take_results(struct scheduler *s)
{
    int64_t now = clock_us();
    for (uint32_t i = 0; i < s->seats.n; i++) /* of those that nobody uses now */
        if (!s->seats.at[i]->job && s->seats.at[i]->n_offered)
            seats_decoded(&s->seats, s->seats.at[i]);
    LIST_EACH(struct slot, slot, &s->running, link) {
        if (slot->n_offered == 0)
            continue;
        seats_decoded(&s->seats, slot);
        if (slot->logits_at < 0)
            continue;
        if (!slot->first_token_us)
            slot->outcome.prompt_ms = (double)(now - slot->started_us) / 1000;
        sample(s, slot);
    }
}

/* What was in the pass can't be computed.  The others go on. */
static void give_up_pass(struct scheduler *s, int32_t failed)
{
    log_error("llama_decode says %d for %d tokens", failed, s->batch.n_tokens);
    for (uint32_t i = 0; i < s->seats.n; i++)
        if (s->seats.at[i]->n_offered)
            seats_forget(&s->seats, s->seats.at[i]);
    LIST_EACH(struct slot, slot, &s->running, link) {
        if (slot->n_offered)
            give_up(s, slot, ERR_INTERNAL, "the model could not be computed");
    }
}

/* What a pass that was broken off has left is in the cache, but told to nobody. */
static void find_out(struct scheduler *s)
{
    for (uint32_t i = 0; i < s->seats.n; i++)
        if (s->seats.at[i]->n_offered)
            seats_find_out(&s->seats, s->seats.at[i]);
}

/* Compute what was offered.  False: that could not be done. */
static bool compute(struct scheduler *s)
{
    uint32_t rows = build_batch(s);
    if (rows == 0)
        return false;
    s->pass_estimate_us =
        s->wrote ? pace_writing_us(&s->pace, rows) : pace_reading_us(&s->pace, rows);
    s->pass_began_us = clock_us();
    int32_t failed = llama_decode(s->model->context, s->batch);
    if (failed == 0) {
        llama_synchronize(s->model->context);
        s->seats.passes++;
    } else if (failed == DECODE_BROKEN_OFF) {
        find_out(s);
    } else if (failed != DECODE_NO_ROOM || !room_make(&s->seats, &s->running)) {
        give_up_pass(s, failed);
    }
    return failed == 0;
}

static void read_on(struct scheduler *s, uint32_t writers, uint32_t n)
{
    if (!compute(s))
        return;
    pace_read(&s->pace, writers, n, clock_us() - s->pass_began_us);
    take_results(s);
}

static void write_together(struct scheduler *s, uint32_t writers)
{
    offer_writing(s, writers);
    if (!compute(s))
        return;
    pace_wrote(&s->pace, writers, (uint32_t)s->batch.n_tokens, clock_us() - s->pass_began_us);
    take_results(s);
}

static void write_apart(struct scheduler *s, uint32_t writers)
{
    int64_t us = 0;
    LIST_EACH(struct slot, slot, &s->running, link) {
        if (!can_write(slot))
            continue;
        slot->n_offered = 1;
        if (!compute(s))
            return;
        us += clock_us() - s->pass_began_us;
        take_results(s);
    }
    pace_wrote(&s->pace, writers, writers, us);
}

static void pass(struct scheduler *s)
{
    for (uint32_t i = 0; i < s->seats.n; i++)
        s->seats.slots[i].n_offered = 0;
    uint32_t writers = count_writers(s);
    uint32_t n_read = s->wrote || writers == 0 ? offer_reading(s, writers) : 0;
    s->wrote = n_read == 0;
    if (n_read)
        read_on(s, writers, n_read);
    else if (writers > 1 && writers < s->model->together_from)
        write_apart(s, writers);
    else
        write_together(s, writers);
    seats_close_up(&s->seats);
    worker_progress(s->worker);
}

static void tell_usage(struct scheduler *s)
{
    s->usage.context_used = seats_used(&s->seats);
    s->usage.context_size = s->model->n_cells;
    s->usage.prefix_cache_bytes = s->seats.shelf.bytes;
    s->usage.prefix_cache_max = s->seats.shelf.max;
    worker_usage(s->worker, &s->usage);
}

static bool anything_to_compute(struct scheduler *s)
{
    LIST_EACH(struct slot, slot, &s->running, link) {
        if (can_run(s, slot))
            return true;
    }
    return false;
}

static enum err run(struct scheduler *s, struct error *error)
{
    for (;;) {
        fill_slots(s); /* what ended may have made room */
        bool idle = !anything_to_compute(s);
        if (idle)
            seats_check(&s->seats);
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
            pass(s);
        tell_usage(s);
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
    pace_init(&s.pace, model->slowdown);
    pace_calibrate(&s.pace, model->one_us, model->slots, model->all_us);
    enum err e = seats_init(&s.seats, model, error);
    if (e)
        return e;
    CLEANUP(free_ptr)
    llama_token_data *scratch = calloc((size_t)llama_vocab_n_tokens(model->vocab), sizeof *scratch);
    CLEANUP(free_ptr) struct row *rows = calloc(s.seats.n, sizeof *rows);
    if (!scratch || !rows) {
        seats_done(&s.seats);
        return fail_nomem(error);
    }
    s.scratch = scratch;
    s.rows = rows;
    s.batch = llama_batch_init(MODEL_BATCH, 0, 1);
    llama_set_abort_callback(model->context, break_off, &s);

    e = run(&s, error);
    llama_set_abort_callback(model->context, NULL, NULL);
    llama_batch_free(s.batch);
    told_done(&s.told);
    seats_done(&s.seats);
    return e;
}
