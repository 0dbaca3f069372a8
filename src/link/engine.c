/*
 * engine.c - see engine.h for the states.
 *
 * Verifying: the process hashes the model from the descriptor that it was given and
 * tells the digest; comparing it is done here, where no model is ever parsed.  What
 * was found right is remembered by the file's identity and times, so that a restart
 * does not read gigabytes again.
 *
 * The pulse: a ping every two seconds.  A READY engine must answer within ten, and
 * must show progress within a minute while it is busy.  One that is STARTING need
 * not answer (it may be probing or hashing), but every sign of progress moves its
 * deadline.
 *
 * Starting again: at once after a SIGILL, with the CPU variant it ran on avoided;
 * otherwise after a pause that doubles with each death.  An engine that reached
 * READY and stayed for a minute has earned a fresh start.  One that dies again and again
 * before it is READY, or within seconds of it, is given up.  What can't be started because
 * the machine is short of something is no death: it is tried until it works.
 */
#include "link/engine.h"

#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "link/deaths.h"
#include "link/model_file.h"

enum {
    TICK_MS = 500,
    PING_EVERY_MS = 2000,
    PONG_WITHIN_MS = 10000,
    PROGRESS_WITHIN_MS = 60000,
    KILLED_WITHIN_MS = 5000, /* a process that is still there then can't be killed */
};

struct engine {
    struct io *io;
    struct engine_setup setup;
    const struct engine_ops *ops;
    void *owner;

    enum engine_state state;
    struct child *child; /* owned by itself; NULL while there is no process */
    struct phase_news phase;
    struct capabilities capabilities;
    struct usage usage;
    struct error why; /* the last failure; also what a kill of ours is for */

    uv_timer_t tick;
    int64_t ready_since;
    int64_t start_at; /* RESTARTING: when the pause is over */
    struct deaths deaths;

    int64_t pinged_at; /* 0: no answer is outstanding */
    int64_t next_ping;
    int64_t last_progress; /* when something last moved */
    uint64_t progress;     /* the counter in the last pong */
    bool busy;

    struct identity opened; /* the file that the process has */
    struct identity verified;
    bool is_verified;
    bool was_ever_ready;

    char avoided[AVOID_MAX][sizeof((struct phase_news *)0)->cpu_variant];
    size_t n_avoided;
};

static void set_state(struct engine *e, enum engine_state state)
{
    e->state = state;
    e->ops->changed(e->owner);
}

/* Kill the process for a reason that its end will be told with. */
static void kill_for(struct engine *e, enum err code, const char *what)
{
    fail(&e->why, code, "engine '%s' %s", e->setup.name, what);
    child_kill(e->child);
}

/* Send a small frame.  What can't be sent for lack of memory is a promise broken; the
 * process' death is the one answer that ends everything in order. */
static void send_frame(struct engine *e, enum err made, struct buf *frame)
{
    if (made || child_send(e->child, frame))
        kill_for(e, ERR_NO_MEMORY, "was given up: out of memory");
    buf_done(frame);
}

static void send_order(struct engine *e, enum order_kind kind, uint64_t serial)
{
    struct buf frame;
    buf_init(&frame, ENGINE_FRAME_MAX);
    enum err made = order_put(&frame, kind, serial);
    send_frame(e, made, &frame);
}

struct words {
    char text[64];
};

/* Behind a failure that it may have caused; "" without a limit. */
static struct words memory_limit_words(const struct engine *e)
{
    struct words w = { "" };
    if (e->setup.memory_limit)
        snprintf(w.text, sizeof w.text, " (its memory_limit_mib is %llu)",
                 (unsigned long long)(e->setup.memory_limit / (1024 * 1024)));
    return w;
}

/* --- the model file -------------------------------------------------------- */

static void send_load(struct engine *e)
{
    struct load load = {
        .name = e->setup.name,
        .slots = e->setup.slots,
        .model_path = e->setup.model_path,
        .cache_dir = e->setup.cache_dir,
        .options = e->setup.options,
    };
    for (size_t i = 0; i < e->n_avoided; i++)
        load.avoid[i] = e->avoided[i];
    struct buf frame;
    buf_init(&frame, ENGINE_FRAME_MAX);
    enum err made = order_put_load(&frame, &load);
    send_frame(e, made, &frame);
}

static void ask_for_digest(struct engine *e)
{
    e->phase = (struct phase_news){ .phase = PHASE_VERIFY };
    strncat(e->phase.path, e->setup.model_path, sizeof e->phase.path - 1);
    e->ops->changed(e->owner);
    send_order(e, ORDER_VERIFY, 0);
}

static enum err take_digest(struct engine *e, const struct event *event, struct error *error)
{
    if (e->state != ENGINE_STARTING || !e->setup.model_sha256)
        return fail(error, ERR_PROTOCOL, "a digest that nobody asked for");
    if (CRYPTO_memcmp(event->digest, e->setup.model_sha256, SHA256_HEX) != 0)
        return fail(error, ERR_MISMATCH,
                    "the model '%.128s' is not what was configured: SHA-256 %.64s, expected %.64s",
                    e->setup.model_path, event->digest, e->setup.model_sha256);
    e->verified = e->opened;
    e->is_verified = true;
    send_load(e);
    return OK;
}

/* --- frames ---------------------------------------------------------------- */

static void note_progress(struct engine *e)
{
    e->last_progress = clock_ms();
}

static void take_pong(struct engine *e, const struct event *event)
{
    if (event->progress != e->progress || !event->busy)
        note_progress(e);
    e->progress = event->progress;
    e->busy = event->busy;
    e->pinged_at = 0;
}

static enum err take_ready(struct engine *e, const struct event *event, struct error *error)
{
    if (e->state != ENGINE_STARTING)
        return fail(error, ERR_PROTOCOL, "ready twice");
    e->capabilities = event->capabilities;
    e->was_ever_ready = true;
    deaths_note_ready(&e->deaths);
    e->ready_since = clock_ms();
    e->pinged_at = 0;
    note_progress(e);
    set_state(e, ENGINE_READY);
    return OK;
}

static enum err take_error(struct engine *e, const struct event *event, struct error *error)
{
    if (event->serial) {
        e->ops->news(e->owner, event);
        return OK;
    }
    if (e->state != ENGINE_STARTING)
        return fail(error, ERR_PROTOCOL, "an error of no request");
    return fail(error, ERR_CONFIG, "engine '%s' cannot start%s: %.400s", e->setup.name,
                memory_limit_words(e).text, event->error.message);
}

static enum err take_event(struct engine *e, const struct event *event, struct error *error)
{
    switch (event->kind) {
    case EVENT_DIGEST:
        return take_digest(e, event, error);
    case EVENT_PHASE:
        if (e->state != ENGINE_STARTING)
            return fail(error, ERR_PROTOCOL, "a loading phase after loading");
        e->phase = event->phase;
        e->ops->changed(e->owner);
        return OK;
    case EVENT_READY:
        return take_ready(e, event, error);
    case EVENT_PONG:
        take_pong(e, event);
        return OK;
    case EVENT_STATS:
        e->usage = event->usage;
        return OK;
    case EVENT_ERROR:
        return take_error(e, event, error);
    case EVENT_TEXT:
    case EVENT_DONE:
        e->ops->news(e->owner, event);
        return OK;
    }
    return OK;
}

static enum err on_frame(void *owner, const struct frame *frame, struct error *error)
{
    struct engine *e = owner;
    struct event event;
    enum err err = event_read(frame, &event, error);
    if (err)
        return err;
    if (event.kind != EVENT_PONG && event.kind != EVENT_STATS)
        note_progress(e);
    return take_event(e, &event, error);
}

/* --- death and birth ------------------------------------------------------- */

static void on_ended(void *owner, const struct child_end *end);
static void on_tick(uv_timer_t *timer);

static const struct child_ops child_ops = { on_frame, on_ended };

static void schedule_restart(struct engine *e, int64_t pause_ms)
{
    e->start_at = clock_ms() + pause_ms;
    uv_timer_start(&e->tick, on_tick, (uint64_t)pause_ms, TICK_MS);
}

/* Remember the variant that faulted; false if that is not news. */
static bool avoid_variant(struct engine *e, const char *variant)
{
    if (!variant[0] || e->n_avoided == AVOID_MAX)
        return false;
    for (size_t i = 0; i < e->n_avoided; i++)
        if (strcmp(e->avoided[i], variant) == 0)
            return false;
    strcpy(e->avoided[e->n_avoided++], variant); /* both are as large */
    return true;
}

/* The sentence for an end that nobody has explained yet. */
static void explain(struct engine *e, const struct child_end *end)
{
    if (e->why.code != OK)
        return;
    /* What it said while it had requests may quote one. */
    if (end->protocol.code == ERR_PROTOCOL && e->state == ENGINE_READY)
        fail(&e->why, ERR_PROTOCOL, "engine '%s' broke the protocol", e->setup.name);
    else if (end->protocol.code != OK)
        e->why = end->protocol;
    else if (end->status == ENGINE_EXIT_NO_MEMORY && !end->signal)
        fail(&e->why, ERR_BACKEND_UNAVAILABLE, "engine '%s' ran out of memory%s", e->setup.name,
             memory_limit_words(e).text);
    else if (end->signal)
        fail(&e->why, ERR_BACKEND_UNAVAILABLE, "engine '%s' died of %s%s", e->setup.name,
             strsignal(end->signal), memory_limit_words(e).text);
    else
        fail(&e->why, ERR_BACKEND_UNAVAILABLE, "engine '%s' ended by itself with exit code %d%s",
             e->setup.name, end->status, memory_limit_words(e).text);
}

/* Files that are wrong and engines that say no will say no again; so does, after a while,
 * what dies each time. */
static bool is_final(struct engine *e)
{
    if (e->why.code == ERR_MISMATCH || e->why.code == ERR_CONFIG)
        return true;
    if (!deaths_are_a_loop(&e->deaths))
        return false;
    if (e->deaths.soon >= SOON_DEATHS_MAX)
        fail(&e->why, e->why.code, "%.400s, as it did %u times in a row", e->why.message,
             e->deaths.soon);
    return true;
}

static void on_ended(void *owner, const struct child_end *end)
{
    struct engine *e = owner;
    bool was_ready = e->state == ENGINE_READY;
    const char *variant = was_ready ? e->capabilities.cpu_variant : e->phase.cpu_variant;
    bool faulted = end->signal == SIGILL && avoid_variant(e, variant);
    struct engine_end told = { child_pid(e->child), end->signal, end->status, was_ready, faulted };
    e->child = NULL;
    explain(e, end);
    bool blamed = e->ops->died(e->owner, &told);

    if (!faulted)
        deaths_count(&e->deaths, was_ready ? clock_ms() - e->ready_since : -1, blamed);
    bool final = is_final(e);
    if (!final)
        schedule_restart(e, faulted ? 0 : deaths_pause_ms(&e->deaths));
    /* What was lost is told in the new state: nobody may be sent here meanwhile. */
    e->state = final ? ENGINE_FAILED : ENGINE_RESTARTING;
    if (was_ready)
        e->ops->lost(e->owner, &e->why);
    e->ops->changed(e->owner);
}

static enum err start_process(struct engine *e, struct error *error)
{
    CLEANUP(close_fd) int model_fd = -1;
    struct child *child;
    enum err err = OK;
    if (e->setup.model_path)
        err = model_file_open(e->setup.model_path, &model_fd, &e->opened, error);
    if (err)
        return err;
    err = child_start(e->io, e->setup.program, model_fd, ENGINE_FRAME_MAX, &child_ops, e, &child,
                      error);
    if (err)
        return err;
    if (e->setup.memory_limit)
        err = child_limit_memory(child, e->setup.memory_limit, error);
    if (err)
        child_orphan(child);
    else
        e->child = child;
    return err;
}

static void start(struct engine *e)
{
    struct error error = { 0 };
    e->phase = (struct phase_news){ .phase = PHASE_CHECKING_LOCAL };
    if (e->setup.model_path)
        strncat(e->phase.path, e->setup.model_path, sizeof e->phase.path - 1);
    e->pinged_at = 0;
    e->next_ping = clock_ms() + PING_EVERY_MS;
    e->progress = 0;
    e->busy = false;
    e->usage = (struct usage){ 0 };
    note_progress(e);

    enum err failed = start_process(e, &error);
    if (failed == ERR_EXHAUSTED || failed == ERR_NO_MEMORY) {
        e->why = error;
        deaths_count_shortage(&e->deaths);
        schedule_restart(e, deaths_pause_ms(&e->deaths));
        set_state(e, ENGINE_RESTARTING);
        return;
    }
    if (failed) {
        e->why = error;
        set_state(e, ENGINE_FAILED);
        return;
    }
    e->why.code = OK;
    set_state(e, ENGINE_STARTING);
    if (e->setup.model_path && !(e->is_verified && identity_same(&e->opened, &e->verified)))
        ask_for_digest(e);
    else
        send_load(e);
}

/* --- the pulse ------------------------------------------------------------- */

/* A ping may stand behind an order of many megabytes: taking that is a sign of life. */
static int64_t last_heard(const struct engine *e)
{
    int64_t took_at = child_took_at(e->child);
    return took_at > e->pinged_at ? took_at : e->pinged_at;
}

static void check_pulse(struct engine *e, int64_t now)
{
    if (e->state == ENGINE_STARTING) {
        if (now - e->last_progress > e->setup.ready_timeout_ms)
            /* The first time, whoever started us waits for the answer that it can't be
             * done; later it may be a busy hour. */
            kill_for(e, e->was_ever_ready ? ERR_BACKEND_UNAVAILABLE : ERR_CONFIG,
                     "made no progress while loading");
    } else if (e->pinged_at && now - last_heard(e) > PONG_WITHIN_MS) {
        kill_for(e, ERR_BACKEND_UNAVAILABLE, "stopped answering");
    } else if (e->busy && now - e->last_progress > PROGRESS_WITHIN_MS) {
        kill_for(e, ERR_BACKEND_UNAVAILABLE, "made no progress for a minute");
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct engine *e = timer->data;
    int64_t now = clock_ms();
    if (e->state == ENGINE_RESTARTING && now >= e->start_at) {
        start(e);
        return;
    }
    if (!e->child)
        return;
    check_pulse(e, now);
    if (!e->pinged_at && now >= e->next_ping) {
        e->pinged_at = now;
        e->next_ping = now + PING_EVERY_MS;
        send_order(e, ORDER_PING, 0);
    }
}

bool engine_is_well(const struct engine *e)
{
    if (!e->child)
        return true;
    int64_t now = clock_ms();
    if (e->state == ENGINE_STARTING)
        return now - e->last_progress <= e->setup.ready_timeout_ms + KILLED_WITHIN_MS;
    if (e->busy && now - e->last_progress > PROGRESS_WITHIN_MS + KILLED_WITHIN_MS)
        return false;
    return !e->pinged_at || now - last_heard(e) <= PONG_WITHIN_MS + KILLED_WITHIN_MS;
}

/* --- what others call ------------------------------------------------------ */

enum err engine_new(struct io *io, const struct engine_setup *setup, const struct engine_ops *ops,
                    void *owner, struct engine **ret, struct error *error)
{
    struct engine *e = calloc(1, sizeof *e);
    if (!e)
        return fail_nomem(error);
    e->io = io;
    e->setup = *setup;
    e->ops = ops;
    e->owner = owner;
    uv_timer_init(io->loop, &e->tick); /* neither of the two can fail */
    e->tick.data = e;
    uv_timer_start(&e->tick, on_tick, TICK_MS, TICK_MS);
    *ret = e;
    return OK;
}

static void on_tick_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    if (e->child)
        child_orphan(e->child);
    uv_close((uv_handle_t *)&e->tick, on_tick_closed);
}

void engine_start(struct engine *e)
{
    if (e->state == ENGINE_STOPPED || e->state == ENGINE_FAILED)
        start(e);
}

void engine_inherit(struct engine *heir, const struct engine *from)
{
    const char *ours = heir->setup.model_sha256, *theirs = from->setup.model_sha256;
    if (ours && theirs && strcmp(ours, theirs) == 0) {
        heir->verified = from->verified;
        heir->is_verified = from->is_verified;
    }
    memcpy(heir->avoided, from->avoided, sizeof heir->avoided);
    heir->n_avoided = from->n_avoided;
    heir->was_ever_ready = from->was_ever_ready;
}

enum engine_state engine_state(const struct engine *e)
{
    return e->state;
}

const struct phase_news *engine_phase(const struct engine *e)
{
    return &e->phase;
}

const struct capabilities *engine_capabilities(const struct engine *e)
{
    return &e->capabilities;
}

const struct usage *engine_usage(const struct engine *e)
{
    return &e->usage;
}

const struct error *engine_why(const struct engine *e)
{
    return &e->why;
}

int engine_pid(const struct engine *e)
{
    return e->child ? child_pid(e->child) : 0;
}

void engine_generate(struct engine *e, char *order, size_t len)
{
    note_progress(e); /* from now on a minute without any counts */
    if (child_send_owned(e->child, order, len))
        kill_for(e, ERR_NO_MEMORY, "was given up: out of memory");
}

void engine_tell(struct engine *e, enum order_kind kind, uint64_t serial)
{
    if (e->child)
        send_order(e, kind, serial);
}
