/*
 * conn.c - see conn.h for the states.
 *
 * A connection is freed by the loop after conn_close(); until then its memory is good,
 * but whoever calls something that may close it returns without touching it again.
 */
#include "serve/conn.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/log.h"
#include "wire/auth.h"

enum {
    READ_PER_TURN = 256 * 1024,
    PARSE_INLINE_MAX = 64 * 1024,  /* longer lines go to the pool */
    UNSENT_HIGH = 256 * 1024,      /* a client so far behind is written no more ... */
    UNSENT_LOW = 64 * 1024,        /* ... until it is no more than this behind */
    LINGER_MAX = 64 * 1024 * 1024, /* thrown away for a client that was told off */
    HAND_OVER_MIN = 64 * 1024,     /* frames so large are not copied */
};

static void advance(struct conn *c);

/* --- the end ---------------------------------------------------------------- */

static void free_conn(struct stream *s)
{
    struct conn *c = CONTAINER_OF(s, struct conn, stream);
    line_reader_done(&c->in);
    answer_done(&c->answer);
    free(c);
}

static uint64_t now(const struct conn *c)
{
    return uv_now(c->clients->io->loop);
}

/* It holds so much of a request that is not admitted.  False: that is too much. */
static bool set_held(struct conn *c, size_t bytes)
{
    bool fine = held_change(&c->clients->held, c->caller->user, c->held, bytes);
    c->held = bytes;
    return fine;
}

void conn_close(struct conn *c)
{
    struct clients *clients = c->clients;
    if (c->request)
        core_abandon(clients->core, TAKE(c->request));
    if (c->job)
        decode_orphan(TAKE(c->job));
    list_remove(&clients->conns, &c->link);
    set_held(c, 0);
    caller_leave(&clients->core->callers, TAKE(c->caller));
    if (clients->conns.len == 0)
        uv_timer_stop(&clients->sweep);
    stream_close(&c->stream, free_conn);
    if (clients->draining && clients->conns.len == 0)
        clients->emptied(clients->owner);
}

/* Close when everything has left. */
static void say_goodbye(struct conn *c)
{
    c->state = CONN_CLOSING;
    stream_want_read(&c->stream, false);
    if (stream_unsent(&c->stream) == 0)
        conn_close(c);
}

static void linger(struct conn *c)
{
    c->state = CONN_LINGERING;
    c->waiting_since = now(c);
    line_reader_done(&c->in);
    set_held(c, 0);
    stream_want_read(&c->stream, true);
}

/* --- writing ---------------------------------------------------------------- */

/* Send what stands in scratch; `made` is what making it came to.  False: it could not
 * be sent, and the connection is closed. */
static bool send_scratch(struct conn *c, enum err made)
{
    struct buf *scratch = &c->clients->scratch;
    enum err e = made;
    if (stream_unsent(&c->stream) == 0)
        c->moved_at = now(c);
    if (!e && scratch->len >= HAND_OVER_MIN) {
        size_t len;
        char *bytes = buf_steal(scratch, &len);
        e = stream_write_owned(&c->stream, bytes, len);
    } else if (!e && scratch->len > 0) {
        e = stream_write(&c->stream, scratch->at, scratch->len);
    }
    buf_clear(scratch);
    if (e) {
        log_warn("closing a connection of pid %d: no memory for its answer", (int)c->peer.pid);
        conn_close(c);
    }
    return !e;
}

enum err conn_put_error(struct conn *c, const struct answer *a, const struct error *error)
{
    struct crowd crowd = core_crowd(c->clients->core);
    return c->surface->put_error(a, error, &crowd, &c->clients->scratch);
}

/* The client reads too slowly: hold its text where it is made. */
static void hold_back(struct conn *c)
{
    if (!c->paused && stream_unsent(&c->stream) > UNSENT_HIGH) {
        c->paused = true;
        core_pause(c->request, true);
    }
}

static void on_flushed(struct stream *s)
{
    struct conn *c = CONTAINER_OF(s, struct conn, stream);
    size_t unsent = stream_unsent(s);
    c->moved_at = now(c);
    if (c->state == CONN_CLOSING && unsent == 0) {
        conn_close(c);
    } else if (c->state == CONN_LINGERING && unsent == 0) {
        shutdown(s->fd, SHUT_WR);
    } else if (c->state == CONN_SERVING && c->paused && unsent < UNSENT_LOW) {
        c->paused = false;
        core_pause(c->request, false);
    } else if (c->state == CONN_READING && unsent < UNSENT_LOW) {
        advance(c);
    }
}

/* --- what core tells -------------------------------------------------------- */

static void on_text(struct sink *sink, enum text_kind kind, struct slice text)
{
    struct conn *c = CONTAINER_OF(sink, struct conn, sink);
    enum err made = c->surface->put_text(&c->answer, kind, text, &c->clients->scratch);
    if (send_scratch(c, made))
        hold_back(c);
}

/* The request has ended and its last frame stands in scratch. */
static void finish(struct conn *c, enum err made)
{
    c->request = NULL;
    c->paused = false;
    answer_done(&c->answer);
    if (send_scratch(c, made)) {
        c->state = CONN_READING;
        advance(c);
    }
}

static void on_done(struct sink *sink, const struct outcome *outcome, const char *kind)
{
    struct conn *c = CONTAINER_OF(sink, struct conn, sink);
    finish(c, c->surface->put_done(&c->answer, outcome, kind, &c->clients->scratch));
}

static void on_failed(struct sink *sink, const struct error *error)
{
    struct conn *c = CONTAINER_OF(sink, struct conn, sink);
    finish(c, conn_put_error(c, &c->answer, error));
}

static const struct sink_ops sink_ops = { on_text, on_done, on_failed };

/* --- a line ----------------------------------------------------------------- */

static struct origin origin_of(const struct conn *c, const char *client_id)
{
    return (struct origin){
        .caller = c->caller,
        .pid = c->peer.pid,
        .surface = c->surface->name,
        .client_id = client_id,
    };
}

/* Numbers of callers fit for as long as anybody will run this. */
static struct decoding decoding_of(const struct conn *c, uint64_t serial)
{
    return (struct decoding){
        .surface = c->surface,
        .poison = &c->clients->core->poison,
        .asker = { .uid = (uint32_t)c->peer.uid,
                   .program = c->caller->label[0] ? (uint32_t)c->caller->number : 0 },
        .serial = serial,
    };
}

/* A request ends here and core never had it: to the books. */
static void report_refusal(const struct conn *c, uint64_t serial, const char *client_id,
                           enum err code)
{
    struct core *core = c->clients->core;
    struct report report = {
        .end = REPORT_REFUSED,
        .error = code,
        .serial = serial,
        .origin = origin_of(c, client_id),
        .queue_us = -1,
        .first_text_us = -1,
        .total_us = -1,
    };
    core->ops->reported(core->owner, &report);
}

/* The client can't be followed any further. */
static void tell_off(struct conn *c, const struct error *error)
{
    if (send_scratch(c, conn_put_error(c, NULL, error)))
        linger(c);
}

struct visitor conn_visitor(const struct conn *c)
{
    return (struct visitor){ c->surface->name, c->tcp ? "tcp" : "unix",
                             c->peer.uid,      c->peer.gid,
                             c->peer.pid,      c->caller ? c->caller->label : c->peer.exe };
}

/* Close a client that did not begin with the key. */
static void turn_away(struct conn *c)
{
    struct visitor visitor = conn_visitor(c);
    journal_refused(c->clients->journal, &visitor, "bad_key");
    conn_close(c);
}

void conn_refuse_line(struct conn *c, const struct error *error)
{
    if (c->needs_key) {
        turn_away(c);
        return;
    }
    report_refusal(c, 0, NULL, error->code);
    tell_off(c, error);
}

/* Refused, but the conversation goes on: leaves the state at READING. */
static void refuse(struct conn *c, const struct error *error)
{
    enum err made = conn_put_error(c, &c->answer, error);
    answer_done(&c->answer);
    c->state = CONN_READING;
    send_scratch(c, made);
}

static enum err submit(struct conn *c, struct decoded *d, struct error *error)
{
    struct submission submission = {
        .serial = d->serial,
        .order = TAKE(d->order),
        .order_len = d->order_len,
        .needs = d->needs,
        .later = d->ask.later,
        .print = d->print,
        .sink = &c->sink,
        .origin = origin_of(c, d->ask.id),
    };
    return core_submit(c->clients->core, &submission, &c->request, error);
}

/* Leaves the connection SERVING, READING (refused), LINGERING or closed. */
static void take_decoded(struct conn *c, struct decoded *d)
{
    if (d->e == ERR_PROTOCOL) {
        d->error.code = ERR_INVALID_REQUEST;
        report_refusal(c, d->serial, NULL, d->error.code);
        tell_off(c, &d->error);
        return;
    }
    if (answer_init(&c->answer, &d->ask)) {
        conn_close(c);
        return;
    }
    c->state = CONN_SERVING;
    struct error error = d->error;
    enum err e = d->e;
    if (!e)
        e = submit(c, d, &error);
    if (e) {
        report_refusal(c, d->serial, d->ask.id, e);
        refuse(c, &error);
    }
}

static void on_decoded(void *owner, struct decoded *d)
{
    struct conn *c = owner;
    c->job = NULL;
    set_held(c, line_reader_pending(&c->in));
    take_decoded(c, d);
    if (c->state == CONN_READING && c->stream.fd >= 0)
        advance(c);
}

/* False without memory. */
static bool decode_on_pool(struct conn *c, const struct decoding *how)
{
    char *line;
    size_t len;
    if (line_reader_take(&c->in, &line, &len) ||
        decode_start(c->clients->io->loop, how, line, len, on_decoded, c, &c->job))
        return false;
    c->state = CONN_PARSING;
    return true;
}

/* Whoever does not know the key is told nothing, not even that. */
static void take_key(struct conn *c, struct slice line)
{
    if (!auth_accepts(line.at, line.len, c->clients->config->api_key)) {
        turn_away(c);
        return;
    }
    c->needs_key = false;
    line_reader_set_max(&c->in, REQUEST_BYTES_MAX);
}

static void take_line(struct conn *c, struct slice line)
{
    c->waiting_since = 0;
    if (c->needs_key) {
        take_key(c, line);
        return;
    }
    const struct decoding how = decoding_of(c, core_next_serial(c->clients->core));
    if (line.len > PARSE_INLINE_MAX) {
        if (!decode_on_pool(c, &how))
            conn_close(c);
        return;
    }
    set_held(c, line_reader_pending(&c->in));
    struct decoded d;
    decode_line(&how, line.at, line.len, &d);
    take_decoded(c, &d);
    decoded_done(&d);
}

/* There is no whole line. */
static void await_more(struct conn *c)
{
    size_t pending = line_reader_pending(&c->in);
    struct error error;
    if (!set_held(c, pending)) {
        fail(&error, ERR_QUEUE_FULL,
             "unfinished requests of one caller may hold %d bytes, those of all %d", HELD_USER_MAX,
             HELD_TOTAL_MAX);
        conn_refuse_line(c, &error);
        return;
    }
    if (pending == 0 && !c->needs_key)
        c->waiting_since = 0;
    else if (c->waiting_since == 0)
        c->waiting_since = now(c);
    stream_want_read(&c->stream, true);
}

/* READING: take the lines that are there, then wait for more. */
static void advance(struct conn *c)
{
    while (c->state == CONN_READING && c->stream.fd >= 0) {
        /* Answers it does not read are a reason to ask it nothing more. */
        if (stream_unsent(&c->stream) > UNSENT_HIGH)
            break;
        struct slice line;
        struct error error;
        enum err e = line_reader_next(&c->in, &line, &error);
        if (e == ERR_CLOSED || (e == ERR_AGAIN && c->clients->draining)) {
            say_goodbye(c);
            return;
        }
        if (e == ERR_AGAIN) {
            await_more(c);
            return;
        }
        if (e == OK) {
            take_line(c, line);
        } else {
            if (error.code == ERR_PROTOCOL)
                error.code = ERR_INVALID_REQUEST;
            conn_refuse_line(c, &error);
        }
    }
    if (c->stream.fd >= 0 && c->state != CONN_LINGERING)
        stream_want_read(&c->stream, false);
}

/* --- reading ---------------------------------------------------------------- */

static void throw_away(struct conn *c)
{
    char bytes[16 * 1024];
    ssize_t n = recv(c->stream.fd, bytes, sizeof bytes, 0);
    if (n > 0)
        c->thrown_away += (size_t)n;
    bool more = n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
    if (!more || c->thrown_away > LINGER_MAX)
        conn_close(c);
}

/* One read; false if there was nothing or the connection is closed. */
static bool read_some(struct conn *c, size_t *ret_n)
{
    char *at;
    size_t room;
    if (line_reader_room(&c->in, &at, &room)) {
        conn_close(c);
        return false;
    }
    ssize_t n = recv(c->stream.fd, at, room, 0);
    if (n < 0) {
        line_reader_filled(&c->in, 0); /* it may keep nothing for an idle client */
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            conn_close(c);
        return false;
    }
    if (n == 0)
        line_reader_end(&c->in);
    else
        line_reader_filled(&c->in, (size_t)n);
    *ret_n = (size_t)n;
    advance(c);
    return n > 0;
}

static void on_readable(struct stream *s)
{
    struct conn *c = CONTAINER_OF(s, struct conn, stream);
    if (c->state == CONN_LINGERING) {
        throw_away(c);
        return;
    }
    size_t n = 0;
    for (size_t total = 0; total < READ_PER_TURN; total += n)
        if (!read_some(c, &n) || c->stream.fd < 0 || c->state != CONN_READING)
            return;
}

static void on_gone(struct stream *s)
{
    conn_close(CONTAINER_OF(s, struct conn, stream));
}

static const struct stream_ops stream_ops = { on_readable, on_flushed, on_gone };

/* --- what others call ------------------------------------------------------- */

/* What it has sent already is answered, if only with a refusal; then it is closed. */
static void hear_out(struct conn *c)
{
    on_readable(&c->stream);
    if (c->state == CONN_READING && c->stream.fd >= 0)
        advance(c);
}

enum err conn_open(struct conn *c, int fd, struct error *error)
{
    return stream_open(c->clients->io, &c->stream, fd, &stream_ops, error);
}

void conn_begin(struct conn *c)
{
    struct clients *clients = c->clients;
    c->sink.ops = &sink_ops;
    c->needs_key = c->tcp && clients->config->api_key;
    c->waiting_since = c->needs_key ? now(c) : 0;
    line_reader_init(&c->in, c->needs_key ? AUTH_LINE_MAX : REQUEST_BYTES_MAX,
                     c->surface->max_depth);
    stream_want_read(&c->stream, true);
}

void conn_drain(struct conn *c)
{
    if (c->state == CONN_LINGERING)
        say_goodbye(c);
    else if (c->state == CONN_READING)
        hear_out(c);
}
