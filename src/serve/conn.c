/*
 * conn.c - see conn.h for the states.
 *
 * A connection is freed by the loop after close_conn(); until then its memory is good,
 * but whoever calls something that may close it returns without touching it again.
 */
#include "serve/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "serve/access.h"
#include "serve/decode.h"
#include "serve/peer.h"
#include "wire/auth.h"
#include "wire/line.h"

enum {
    READ_PER_TURN = 256 * 1024,
    PARSE_INLINE_MAX = 64 * 1024,  /* longer lines go to the pool */
    UNSENT_HIGH = 256 * 1024,      /* a client so far behind is written no more ... */
    UNSENT_LOW = 64 * 1024,        /* ... until it is no more than this behind */
    LINGER_MAX = 64 * 1024 * 1024, /* thrown away for a client that was told off */
    HAND_OVER_MIN = 64 * 1024,     /* frames so large are not copied */
    SWEEP_MS = 500,
};

enum conn_state {
    CONN_READING,
    CONN_PARSING,
    CONN_SERVING,
    CONN_CLOSING,
    CONN_LINGERING,
};

/* A line on the pool; owns itself, since the connection may go meanwhile. */
struct job {
    uv_work_t work;
    struct conn *conn; /* NULL: gone */
    const struct surface *surface;
    struct asker asker;
    uint64_t serial;
    char *line;
    size_t len;
    struct decoded decoded;
};

struct conn {
    struct link link;
    struct clients *clients;
    enum conn_state state;
    struct stream stream;
    struct peer peer;
    struct caller *caller; /* what its program is known by */
    const struct surface *surface;
    struct line_reader in;
    struct job *job; /* PARSING */
    struct sink sink;
    struct request *request; /* SERVING; core's */
    struct answer answer;    /* SERVING */
    bool paused;             /* core was told to hold the request's text */
    bool needs_key;          /* its next line is to be the key */
    bool tcp;
    size_t thrown_away;     /* LINGERING */
    struct holder *holder;  /* whose share of memory it uses */
    size_t held;            /* bytes of a request that is not admitted yet */
    uint64_t waiting_since; /* for the rest of a line, or the end of LINGERING; 0: it is not */
    uint64_t moved_at;      /* when the first unsent byte was queued, or the last one left */
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
    bool fine = held_change(&c->clients->held, c->holder, c->held, bytes);
    c->held = bytes;
    return fine;
}

static void close_conn(struct conn *c)
{
    struct clients *clients = c->clients;
    if (c->request)
        core_abandon(clients->core, TAKE(c->request));
    if (c->job) {
        c->job->conn = NULL;
        uv_cancel((uv_req_t *)&c->job->work); /* unless it is under way already */
    }
    list_remove(&clients->conns, &c->link);
    set_held(c, 0);
    held_leave(&clients->held, c->holder);
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
        close_conn(c);
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
        close_conn(c);
    }
    return !e;
}

/* An error frame to scratch; `a` is NULL where it belongs to no request. */
static enum err put_error(struct conn *c, const struct answer *a, const struct error *error)
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
        close_conn(c);
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
    finish(c, put_error(c, &c->answer, error));
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

/* As an engine knows it.  Numbers of callers fit as long as anybody will run this. */
static struct asker asker_of(const struct conn *c)
{
    return (struct asker){
        .uid = (uint32_t)c->peer.uid,
        .program = c->caller->label[0] ? (uint32_t)c->caller->number : 0,
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
    if (send_scratch(c, put_error(c, NULL, error)))
        linger(c);
}

static struct visitor visitor_of(const struct conn *c)
{
    return (struct visitor){ c->surface->name, c->tcp ? "tcp" : "unix",
                             c->peer.uid,      c->peer.gid,
                             c->peer.pid,      c->caller ? c->caller->label : c->peer.exe };
}

/* Close a client that did not begin with the key. */
static void turn_away(struct conn *c)
{
    struct visitor visitor = visitor_of(c);
    journal_refused(c->clients->journal, &visitor, "bad_key");
    close_conn(c);
}

/* What came can't be followed any further, for this reason. */
static void refuse_line(struct conn *c, const struct error *error)
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
    enum err made = put_error(c, &c->answer, error);
    answer_done(&c->answer);
    c->state = CONN_READING;
    send_scratch(c, made);
}

static enum err submit(struct conn *c, uint64_t serial, struct decoded *d, struct error *error)
{
    struct submission submission = {
        .serial = serial,
        .order = TAKE(d->order),
        .order_len = d->order_len,
        .needs = d->needs,
        .sink = &c->sink,
        .origin = origin_of(c, d->ask.id),
    };
    return core_submit(c->clients->core, &submission, &c->request, error);
}

/* Leaves the connection SERVING, READING (refused), LINGERING or closed. */
static void take_decoded(struct conn *c, uint64_t serial, struct decoded *d)
{
    if (d->e == ERR_PROTOCOL) {
        d->error.code = ERR_INVALID_REQUEST;
        report_refusal(c, serial, NULL, d->error.code);
        tell_off(c, &d->error);
        return;
    }
    if (answer_init(&c->answer, &d->ask)) {
        close_conn(c);
        return;
    }
    c->state = CONN_SERVING;
    struct error error = d->error;
    enum err e = d->e;
    if (!e)
        e = submit(c, serial, d, &error);
    if (e) {
        report_refusal(c, serial, d->ask.id, e);
        refuse(c, &error);
    }
}

static void decode_on_pool(uv_work_t *work)
{
    struct job *job = CONTAINER_OF(work, struct job, work);
    decode_line(job->surface, job->asker, job->serial, job->line, job->len, &job->decoded);
    free(TAKE(job->line));
}

static void decoded_on_pool(uv_work_t *work, int status UNUSED)
{
    struct job *job = CONTAINER_OF(work, struct job, work);
    struct conn *c = job->conn;
    if (c) {
        c->job = NULL;
        set_held(c, line_reader_pending(&c->in));
        take_decoded(c, job->serial, &job->decoded);
        if (c->state == CONN_READING && c->stream.fd >= 0)
            advance(c);
    }
    decoded_done(&job->decoded);
    free(job->line); /* of one that was cancelled in time */
    free(job);
}

/* False without memory. */
static bool start_job(struct conn *c, uint64_t serial)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return false;
    if (line_reader_take(&c->in, &job->line, &job->len)) {
        free(job);
        return false;
    }
    job->conn = c;
    job->surface = c->surface;
    job->asker = asker_of(c);
    job->serial = serial;
    c->job = job;
    c->state = CONN_PARSING;
    uv_queue_work(c->clients->io->loop, &job->work, decode_on_pool, decoded_on_pool);
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
    uint64_t serial = core_next_serial(c->clients->core);
    if (line.len > PARSE_INLINE_MAX) {
        if (!start_job(c, serial))
            close_conn(c);
        return;
    }
    set_held(c, line_reader_pending(&c->in));
    struct decoded d;
    decode_line(c->surface, asker_of(c), serial, line.at, line.len, &d);
    take_decoded(c, serial, &d);
    decoded_done(&d);
}

/* There is no whole line. */
static void await_more(struct conn *c)
{
    size_t pending = line_reader_pending(&c->in);
    struct error error;
    if (!set_held(c, pending)) {
        fail(&error, ERR_QUEUE_FULL,
             "unfinished requests of one caller may hold %d bytes, those of all %d",
             HELD_CALLER_MAX, HELD_TOTAL_MAX);
        refuse_line(c, &error);
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
            refuse_line(c, &error);
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
        close_conn(c);
}

/* One read; false if there was nothing or the connection is closed. */
static bool read_some(struct conn *c, size_t *ret_n)
{
    char *at;
    size_t room;
    if (line_reader_room(&c->in, &at, &room)) {
        close_conn(c);
        return false;
    }
    ssize_t n = recv(c->stream.fd, at, room, 0);
    if (n < 0) {
        line_reader_filled(&c->in, 0); /* it may keep nothing for an idle client */
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            close_conn(c);
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

/* What it has sent already is answered, if only with a refusal; then it is closed. */
static void hear_out(struct conn *c)
{
    on_readable(&c->stream);
    if (c->state == CONN_READING && c->stream.fd >= 0)
        advance(c);
}

static void on_gone(struct stream *s)
{
    close_conn(CONTAINER_OF(s, struct conn, stream));
}

static const struct stream_ops stream_ops = { on_readable, on_flushed, on_gone };

/* --- those that stand still ------------------------------------------------- */

static void on_half_sent(struct conn *c)
{
    struct error error;
    fail(&error, ERR_INVALID_REQUEST, "the rest of the request did not come within %u s",
         c->clients->config->read_timeout_secs);
    refuse_line(c, &error);
}

static bool over(uint64_t since, uint64_t at, uint32_t secs)
{
    return at - since >= (uint64_t)secs * 1000;
}

/* Close it, or tell it off, if it has stood still for too long. */
static void sweep_one(struct conn *c, uint64_t at)
{
    const struct config *config = c->clients->config;
    if (config->write_timeout_secs && stream_unsent(&c->stream) > 0 &&
        over(c->moved_at, at, config->write_timeout_secs)) {
        log_warn("closing a connection of pid %d: it did not accept a response frame within %u s",
                 (int)c->peer.pid, config->write_timeout_secs);
        close_conn(c);
    } else if (c->waiting_since && over(c->waiting_since, at, config->read_timeout_secs)) {
        if (c->state == CONN_LINGERING)
            close_conn(c);
        else if (c->state == CONN_READING)
            on_half_sent(c);
    }
}

static void on_sweep(uv_timer_t *timer)
{
    struct clients *clients = timer->data;
    uint64_t at = uv_now(clients->io->loop);
    LIST_EACH(struct conn, c, &clients->conns, link)
        sweep_one(c, at);
}

/* --- what others call ------------------------------------------------------- */

void clients_init(struct clients *clients, struct io *io, const struct config *config,
                  struct core *core, struct journal *journal, void (*emptied)(void *owner),
                  void *owner)
{
    *clients = (struct clients){
        .io = io,
        .config = config,
        .core = core,
        .journal = journal,
        .emptied = emptied,
        .owner = owner,
    };
    list_init(&clients->conns);
    held_init(&clients->held);
    uv_timer_init(io->loop, &clients->sweep);
    clients->sweep.data = clients;
    /* The longest frame is the last one of the longest answer, every byte escaped. */
    buf_init(&clients->scratch, (size_t)ANSWER_BYTES_MAX * 6 + REQUEST_BYTES_MAX);
}

void clients_close(struct clients *clients)
{
    uv_close((uv_handle_t *)&clients->sweep, NULL);
}

void clients_done(struct clients *clients)
{
    buf_done(&clients->scratch);
}

/* Nobody attests who is at the other end of TCP: all of it is one caller. */
static struct peer tcp_peer(int fd)
{
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){ 1 }, sizeof(int));
    return (struct peer){ (uid_t)-1, (gid_t)-1, (pid_t)-1, NULL };
}

/* One that may not ask is told so, as far as its socket takes it at once. */
static void tell_not_allowed(struct conn *c, int fd)
{
    struct buf *scratch = &c->clients->scratch;
    struct error error;
    fail(&error, ERR_INVALID_REQUEST, "user %u is not among those that this daemon serves",
         (unsigned)c->peer.uid);
    if (!put_error(c, NULL, &error) &&
        send(fd, scratch->at, scratch->len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_debug("a caller that is not allowed was gone before it was told");
    buf_clear(scratch);
}

/* NULL if it may come in; else the log's word for the reason, and `fd` is closed. */
static const char *let_in(struct conn *c, int fd)
{
    struct clients *clients = c->clients;
    struct error error;
    if (!c->tcp && !access_allows(clients->config, &c->peer, fd)) {
        tell_not_allowed(c, fd);
        close(fd);
        return "not_allowed";
    }
    c->holder = held_join(&clients->held, c->peer.uid);
    if (!c->holder) {
        close(fd);
        return "no_memory";
    }
    c->caller = callers_enter(&clients->core->callers, c->peer.uid, c->peer.exe);
    if (!c->caller) {
        close(fd);
        held_leave(&clients->held, c->holder);
        return "too_many_callers";
    }
    if (stream_open(clients->io, &c->stream, fd, &stream_ops, &error)) {
        log_warn("refusing a connection of pid %d: %s", (int)c->peer.pid, error.message);
        held_leave(&clients->held, c->holder);
        caller_leave(&clients->core->callers, TAKE(c->caller));
        return "no_resources";
    }
    return NULL;
}

static void begin(struct conn *c)
{
    struct clients *clients = c->clients;
    c->sink.ops = &sink_ops;
    c->needs_key = c->tcp && clients->config->api_key;
    c->waiting_since = c->needs_key ? now(c) : 0;
    line_reader_init(&c->in, c->needs_key ? AUTH_LINE_MAX : REQUEST_BYTES_MAX,
                     c->surface->max_depth);
    list_append(&clients->conns, &c->link);
    if (clients->conns.len == 1)
        uv_timer_start(&clients->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    stream_want_read(&c->stream, true);
}

void clients_accept(struct clients *clients, int fd, const struct entrance *entrance)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c) {
        close(fd);
        log_warn("refusing a connection: out of memory");
        return;
    }
    c->clients = clients;
    c->surface = entrance->surface;
    c->tcp = entrance->tcp;
    c->peer = c->tcp ? tcp_peer(fd) : peer_of(fd);
    struct visitor visitor = visitor_of(c);
    const char *why = let_in(c, fd);
    if (why)
        journal_refused(clients->journal, &visitor, why);
    else
        journal_accepted(clients->journal, &visitor);
    peer_done(&c->peer); /* its program is the caller's label from now on */
    if (why)
        free(c);
    else
        begin(c);
}

void clients_drain(struct clients *clients)
{
    clients->draining = true;
    if (clients->conns.len == 0) {
        clients->emptied(clients->owner);
        return;
    }
    LIST_EACH(struct conn, c, &clients->conns, link) {
        if (c->state == CONN_LINGERING)
            say_goodbye(c);
        else if (c->state == CONN_READING)
            hear_out(c);
    }
}

void clients_drop(struct clients *clients)
{
    LIST_EACH(struct conn, c, &clients->conns, link)
        close_conn(c);
}
