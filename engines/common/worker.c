/*
 * worker.c - one socket, two directions, perhaps two threads.
 *
 *     worker_next() ...... in -> frames -> orders      the reading thread's
 *     worker_tell() ...... events -> out               the telling thread's
 *     worker_flush() ..... out -> socket
 *
 * Each thread has a buffer of its own.  What they share is the socket for writing,
 * because the reading thread answers pings: `sending` is held for whole frames, so
 * that a pong never lands inside another event.  `progress` and `busy` are atomic;
 * `usage` is larger and has a lock of its own, which nobody holds while waiting.
 *
 * An idle engine sleeps in recv(): a request costs one system call to hear of and one
 * to answer.
 */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "digest.h"

enum {
    OUT_MAX = 1024 * 1024 * 1024, /* no step comes near it */
    OUT_KEEP_MAX = 1024 * 1024,   /* a buffer that grew beyond is given back */
};

struct worker {
    struct frame_reader in;
    struct order half; /* a `generate` whose text is still to come */
    bool has_half;
    struct buf out;
    enum err lost; /* why an event never got into `out`; told by the flush */
    pthread_mutex_t sending;
    atomic_uint_fast64_t progress;
    atomic_bool busy;
    pthread_mutex_t counting; /* held for the next two */
    struct usage usage;
    bool usage_changed; /* since it was told */
};

/* --- beginning and end ----------------------------------------------------- */

static enum err check_socket(struct error *error)
{
    int type;
    socklen_t size = sizeof type;
    if (getsockopt(ENGINE_FD, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM)
        return fail(error, ERR_CONFIG,
                    "descriptor %d is not a socket; this program is started by inferd-daemon, "
                    "not by hand",
                    ENGINE_FD);
    if (fcntl(ENGINE_FD, F_SETFD, FD_CLOEXEC) < 0)
        return fail_sys(error, "cannot keep descriptor %d to this program", ENGINE_FD);
    return OK;
}

/* What would outlive the daemon, or hold a prompt, or stop us by accident. */
static enum err settle(struct error *error)
{
    static const struct rlimit no_core = { 0, 0 };
    /* Signals to a whole group of processes (a terminal's, a service's) mean the daemon,
     * which lets us finish; we end when it closes the socket. */
    static const int ignored[] = { SIGPIPE, SIGINT, SIGTERM, SIGHUP };
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
        signal(ignored[i], SIG_IGN);
    if (setrlimit(RLIMIT_CORE, &no_core) < 0)
        return fail_sys(error, "cannot do without core files");
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return fail_sys(error, "cannot tie this process to its parent");

    /* A parent that died before that line sends no signal; its socket is closed. */
    struct pollfd daemon = { .fd = ENGINE_FD };
    if (poll(&daemon, 1, 0) > 0 && daemon.revents & POLLHUP)
        return fail(error, ERR_CLOSED, "the daemon is gone");
    return OK;
}

enum err worker_open(const char *name, struct worker **ret, struct error *error)
{
    log_init(name, LOG_INFO);
    enum err e = check_socket(error);
    if (!e)
        e = settle(error);
    if (e)
        return e;

    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        return fail_nomem(error);
    frame_reader_init(&w->in, ENGINE_FRAME_MAX);
    buf_init(&w->out, OUT_MAX);
    pthread_mutex_init(&w->sending, NULL); /* cannot fail without attributes */
    pthread_mutex_init(&w->counting, NULL);
    *ret = w;
    return OK;
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    if (w->has_half)
        order_done(&w->half);
    frame_reader_done(&w->in);
    buf_done(&w->out);
    pthread_mutex_destroy(&w->sending);
    pthread_mutex_destroy(&w->counting);
    free(w);
}

int worker_leave(enum err e, const struct error *error)
{
    if (e == ERR_CLOSED)
        return 0;
    log_error("%s", error->message);
    return e == ERR_CONFIG ? 2 : e == ERR_NO_MEMORY ? ENGINE_EXIT_NO_MEMORY : 3;
}

/* --- writing --------------------------------------------------------------- */

static enum err socket_failed(struct error *error)
{
    if (errno == EPIPE || errno == ECONNRESET)
        return fail(error, ERR_CLOSED, "the daemon is gone");
    return fail_sys(error, "the daemon's socket");
}

/* All of `out`; `sending` is held. */
static enum err send_locked(const struct buf *out, struct error *error)
{
    for (size_t sent = 0; sent < out->len;) {
        ssize_t n = send(ENGINE_FD, out->at + sent, out->len - sent, MSG_NOSIGNAL);
        if (n >= 0) {
            sent += (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd daemon = { .fd = ENGINE_FD, .events = POLLOUT };
            poll(&daemon, 1, -1);
        } else if (errno != EINTR) {
            return socket_failed(error);
        }
    }
    return OK;
}

static enum err send_frames(struct worker *w, const struct buf *out, struct error *error)
{
    pthread_mutex_lock(&w->sending);
    enum err e = send_locked(out, error);
    pthread_mutex_unlock(&w->sending);
    return e;
}

/* Past `out`, at once; from any thread. */
static enum err answer(struct worker *w, const struct event *event, struct error *error)
{
    struct buf frame;
    buf_init(&frame, ENGINE_FRAME_MAX);
    enum err e = event_put(&frame, event);
    e = e ? fail_nomem(error) : send_frames(w, &frame, error);
    buf_done(&frame);
    return e;
}

void worker_tell(struct worker *w, const struct event *event)
{
    if (!w->lost)
        w->lost = event_put(&w->out, event);
}

void worker_text(struct worker *w, uint64_t serial, enum text_kind kind, struct slice text)
{
    worker_tell(w, &(struct event){
                       .kind = EVENT_TEXT, .serial = serial, .text_kind = kind, .text = text });
}

void worker_finish(struct worker *w, uint64_t serial, const struct outcome *outcome)
{
    worker_tell(w, &(struct event){ .kind = EVENT_DONE, .serial = serial, .outcome = *outcome });
}

void worker_finish_now(struct worker *w, uint64_t serial, const struct outcome *outcome)
{
    struct event event = { .kind = EVENT_DONE, .serial = serial, .outcome = *outcome };
    struct error error;
    enum err e = answer(w, &event, &error);
    if (e && e != ERR_CLOSED)
        log_error("%s", error.message);
}

void worker_refuse(struct worker *w, uint64_t serial, enum err code, const char *fmt, ...)
{
    char message[ERROR_MESSAGE_MAX + 1] = ""; /* one more: fail() sees what does not fit */
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    struct event event = { .kind = EVENT_ERROR, .serial = serial };
    fail(&event.error, code, "%s", message);
    worker_tell(w, &event);
}

size_t worker_unsent(const struct worker *w)
{
    return w->out.len;
}

enum err worker_flush(struct worker *w, struct error *error)
{
    if (w->lost)
        return fail(error, w->lost, "an event could not be told: %s",
                    w->lost == ERR_NO_MEMORY ? "out of memory" : "too much in one step");
    if (w->out.len == 0)
        return OK;
    enum err e = send_frames(w, &w->out, error);
    buf_clear(&w->out);
    if (w->out.cap > OUT_KEEP_MAX)
        buf_done(&w->out);
    return e;
}

/* --- signs of life --------------------------------------------------------- */

void worker_progress(struct worker *w)
{
    atomic_fetch_add_explicit(&w->progress, 1, memory_order_relaxed);
}

void worker_busy(struct worker *w, bool busy)
{
    atomic_store_explicit(&w->busy, busy, memory_order_relaxed);
}

void worker_usage(struct worker *w, const struct usage *usage)
{
    pthread_mutex_lock(&w->counting);
    w->usage_changed |= memcmp(usage, &w->usage, sizeof *usage) != 0; /* it has no gaps */
    w->usage = *usage;
    pthread_mutex_unlock(&w->counting);
}

static enum err tell_usage(struct worker *w, struct error *error)
{
    struct event event = { .kind = EVENT_STATS };
    pthread_mutex_lock(&w->counting);
    bool changed = w->usage_changed;
    event.usage = w->usage;
    w->usage_changed = false;
    pthread_mutex_unlock(&w->counting);
    return changed ? answer(w, &event, error) : OK;
}

static enum err pong(struct worker *w, bool busy, struct error *error)
{
    enum err e = tell_usage(w, error);
    if (e)
        return e;
    struct event event = {
        .kind = EVENT_PONG,
        .progress = atomic_load_explicit(&w->progress, memory_order_relaxed),
        .busy = busy,
    };
    return answer(w, &event, error);
}

/* For digest_file(): it calls about once a second. */
static enum err still_hashing(void *ctx, struct error *error)
{
    struct worker *w = ctx;
    worker_progress(w);
    return pong(w, true, error);
}

static enum err verify(struct worker *w, struct error *error)
{
    struct event event = { .kind = EVENT_DIGEST };
    enum err e = digest_file(ENGINE_MODEL_FD, event.digest, still_hashing, w, error);
    if (e == ERR_SYSTEM) {
        /* The file's fault, not ours: loading can't succeed, and the daemon says why. */
        struct event sorry = { .kind = EVENT_ERROR, .error = *error };
        return answer(w, &sorry, error);
    }
    worker_progress(w);
    return e ? e : answer(w, &event, error);
}

/* --- reading --------------------------------------------------------------- */

/* Sleep until there is something to read.  ERR_AGAIN: not before `deadline` (-1: none). */
static enum err await(int64_t deadline, struct error *error)
{
    struct pollfd daemon = { .fd = ENGINE_FD, .events = POLLIN };
    for (;;) {
        int wait = -1;
        if (deadline >= 0) {
            int64_t left = deadline - clock_us();
            wait = left > 0 ? (int)((left + 999) / 1000) : 0;
        }
        int n = poll(&daemon, 1, wait);
        if (n > 0)
            return OK;
        if (n == 0)
            return ERR_AGAIN;
        if (errno != EINTR)
            return fail_sys(error, "the daemon's socket");
    }
}

/* One read.  ERR_AGAIN: nothing came in time. */
static enum err receive(struct worker *w, int timeout_ms, int64_t deadline, struct error *error)
{
    char *at;
    size_t room;
    if (frame_reader_room(&w->in, &at, &room))
        return fail_nomem(error);
    if (timeout_ms > 0) {
        enum err e = await(deadline, error);
        if (e)
            return e;
    }
    for (;;) {
        ssize_t n = recv(ENGINE_FD, at, room, timeout_ms < 0 ? 0 : MSG_DONTWAIT);
        if (n > 0) {
            frame_reader_filled(&w->in, (size_t)n);
            return OK;
        }
        if (n == 0)
            return fail(error, ERR_CLOSED, "the daemon is gone");
        if (errno == EAGAIN && timeout_ms >= 0)
            return ERR_AGAIN;
        if (errno == EAGAIN) {
            enum err e = await(-1, error);
            if (e)
                return e;
        } else if (errno != EINTR) {
            return socket_failed(error);
        }
    }
}

static enum err take_text(struct order *order, const struct frame *frame, struct error *error)
{
    enum err e = order_read_text(order, frame, error);
    if (e)
        order_done(order);
    return e;
}

/* ERR_AGAIN: this one was answered here, or it is only the first half. */
static enum err take_frame(struct worker *w, const struct frame *frame, struct order *ret,
                           struct error *error)
{
    struct order order;
    if (w->has_half) {
        w->has_half = false;
        *ret = w->half;
        return take_text(ret, frame, error);
    }
    enum err e = order_read(frame, &order, error);
    if (e)
        return e;
    if (order.kind == ORDER_GENERATE) {
        w->half = order;
        w->has_half = true;
        return ERR_AGAIN;
    }
    if (order.kind == ORDER_PING)
        e = pong(w, atomic_load_explicit(&w->busy, memory_order_relaxed), error);
    else if (order.kind == ORDER_VERIFY)
        e = verify(w, error);
    else {
        *ret = order;
        return OK;
    }
    order_done(&order);
    return e ? e : ERR_AGAIN;
}

enum err worker_next(struct worker *w, int timeout_ms, struct order *ret, struct error *error)
{
    int64_t deadline = timeout_ms > 0 ? clock_us() + (int64_t)timeout_ms * 1000 : -1;
    for (;;) {
        struct frame frame;
        enum err e;
        while ((e = frame_reader_next(&w->in, &frame, error)) == OK) {
            e = take_frame(w, &frame, ret, error);
            if (e != ERR_AGAIN)
                return e;
        }
        if (e == ERR_AGAIN)
            e = receive(w, timeout_ms, deadline, error);
        if (e)
            return e;
    }
}

bool worker_waiting(const struct worker *w)
{
    return frame_reader_waiting(&w->in);
}
