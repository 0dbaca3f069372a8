/*
 * swarm.c - connections, an epoll descriptor, and one clock reading per event.
 *
 * A request's time begins right before the write of its first byte and ends right
 * after the read that brought its terminal frame; building requests and taking
 * answers apart is not in it.
 *
 * Sockets stay in blocking mode and every call asks not to wait.  A connection that
 * breaks, or on which something came that nobody waited for, is closed and what it
 * waited for is lost; the others go on.
 *
 * When all is answered, each connection is half-closed and read to its end: a second
 * terminal frame would come then, at the latest.
 */
#include "swarm.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

enum {
    READ_SIZE = 64 * 1024,
    BYTES_MAX = 512 * 1024 * 1024, /* of one request, and of what is not taken apart yet */
    EVENTS_PER_WAIT = 256,
    SHOWN_MAX = 120, /* bytes of a frame that a message repeats */
};

struct client {
    int fd;          /* owned; -1 once closed */
    uint64_t serial; /* of the request it waits for; 0 is none */
    int64_t asked_ns;
    int64_t first_ns; /* when something of the answer came first; 0: not yet */
    int64_t piece_ns; /* likewise, last */
    struct buf out;
    size_t sent;
    bool blocked; /* the kernel takes no more of `out` for now */
    struct buf in;
};

struct swarm {
    const struct plan *plan;
    struct tally *tally;
    int epoll; /* owned */
    struct client *clients;
    uint64_t last_serial;
    unsigned in_flight;
    int64_t began_ns;
    int64_t ended_ns;
    enum err broken; /* our own: no memory */
};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* --- when something is wrong ---------------------------------------------------- */

/* Give the connection up; `why` is told if it is the first that went wrong. */
static void drop(struct swarm *s, struct client *c, const struct error *why)
{
    if (!s->tally->fault.code)
        s->tally->fault = *why;
    if (c->serial) {
        s->tally->lost++;
        s->in_flight--;
    }
    c->serial = 0;
    close_fd(&c->fd);
}

static void drop_broken(struct swarm *s, struct client *c, const char *what)
{
    struct error why;
    fail_sys(&why, "%s, waiting for the answer to request %llu", what,
             (unsigned long long)c->serial);
    drop(s, c, &why);
}

static void drop_mixed_up(struct swarm *s, struct client *c, const struct error *why)
{
    s->tally->mixed_up++;
    drop(s, c, why);
}

static void drop_closed(struct swarm *s, struct client *c)
{
    struct error why;
    fail(&why, ERR_CLOSED, "the server closed the connection without an answer to request %llu",
         (unsigned long long)c->serial);
    drop(s, c, &why);
}

/* How much of `bytes` a message shows. */
static int first_line(const char *bytes, size_t n)
{
    const char *newline = memchr(bytes, '\n', n);
    size_t len = newline ? (size_t)(newline - bytes) : n;
    return (int)(len < SHOWN_MAX ? len : SHOWN_MAX);
}

/* Nothing comes any more. */
static void drop_silent(struct swarm *s)
{
    struct error why;
    fail(&why, ERR_CLOSED, "%u requests are without an answer after %d ms of silence", s->in_flight,
         s->plan->patience_ms);
    for (unsigned i = 0; i < s->plan->connections; i++)
        if (s->clients[i].serial)
            drop(s, &s->clients[i], &why);
}

/* --- asking --------------------------------------------------------------------- */

static bool watch(struct swarm *s, struct client *c, int operation)
{
    struct epoll_event event = { .events = EPOLLIN | (c->blocked ? EPOLLOUT : 0), .data.ptr = c };
    return epoll_ctl(s->epoll, operation, c->fd, &event) == 0;
}

static void set_blocked(struct swarm *s, struct client *c, bool blocked)
{
    if (c->blocked == blocked)
        return;
    c->blocked = blocked;
    if (!watch(s, c, EPOLL_CTL_MOD))
        drop_broken(s, c, "cannot watch a socket");
}

static void send_rest(struct swarm *s, struct client *c)
{
    while (c->sent < c->out.len) {
        ssize_t n =
            send(c->fd, c->out.at + c->sent, c->out.len - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            c->sent += (size_t)n;
        } else if (errno == EAGAIN) {
            set_blocked(s, c, true);
            return;
        } else if (errno != EINTR) {
            drop_broken(s, c, "cannot send");
            return;
        }
    }
    set_blocked(s, c, false);
}

static bool may_ask(const struct swarm *s, int64_t now)
{
    if (s->broken)
        return false;
    if (s->plan->requests)
        return s->last_serial < s->plan->requests;
    return now - s->began_ns < s->plan->duration_ns;
}

static void ask(struct swarm *s, struct client *c)
{
    buf_clear(&c->out);
    c->sent = 0;
    c->first_ns = c->piece_ns = 0;
    s->broken = s->plan->protocol->put_request(&s->plan->shape, s->last_serial + 1, &c->out);
    if (s->broken)
        return;
    c->serial = ++s->last_serial;
    s->in_flight++;
    c->asked_ns = now_ns();
    send_rest(s, c);
}

/* --- being answered ------------------------------------------------------------- */

/* Something of the answer is there. */
static void note_piece(struct swarm *s, struct client *c, int64_t now)
{
    if (!c->first_ns)
        c->first_ns = now;
    if (c->piece_ns && c->piece_ns - c->first_ns >= s->plan->settle_ns)
        s->broken = samples_add(&s->tally->gaps, now - c->piece_ns);
    c->piece_ns = now;
}

/* The request of `c` has its terminal frame. */
static void end(struct swarm *s, struct client *c, const struct reply *reply, int64_t now)
{
    c->serial = 0;
    s->in_flight--;
    s->ended_ns = now;
    if (reply->kind == REPLY_REFUSED) {
        tally_refusal(s->tally, reply->code);
        return;
    }
    s->broken = samples_add(&s->tally->whole, now - c->asked_ns);
    if (!s->broken)
        s->broken = samples_add(&s->tally->first, (c->first_ns ? c->first_ns : now) - c->asked_ns);
}

/* The frames that are there, up to the terminal one. */
static void take_replies(struct swarm *s, struct client *c, int64_t now)
{
    struct reply reply;
    struct error why;
    size_t taken = 0;
    enum err e = OK;
    while (c->serial && !e) {
        struct slice in = { c->in.at + taken, c->in.len - taken };
        e = s->plan->protocol->read_reply(in, c->serial, &reply, &why);
        if (e)
            break;
        taken += reply.len;
        s->tally->frames++;
        s->tally->tokens += reply.tokens;
        if (reply.has_text)
            note_piece(s, c, now);
        if (reply.kind != REPLY_PIECE)
            end(s, c, &reply, now);
    }
    buf_consume(&c->in, taken);
    if (!e && c->in.len > 0)
        e = fail(&why, ERR_MISMATCH, "after the last frame of an answer came %.*s",
                 first_line(c->in.at, c->in.len), c->in.at);
    if (e && e != ERR_AGAIN)
        drop_mixed_up(s, c, &why);
}

static enum err connect_client(struct swarm *s, struct client *c, struct error *error);

static void ask_again(struct swarm *s, struct client *c)
{
    struct error why;
    if (s->plan->reconnect) {
        close_fd(&c->fd);
        if (connect_client(s, c, &why)) {
            drop(s, c, &why);
            return;
        }
    }
    ask(s, c);
}

static void read_some(struct swarm *s, struct client *c)
{
    s->broken = buf_reserve(&c->in, READ_SIZE);
    if (s->broken)
        return;
    ssize_t n = recv(c->fd, c->in.at + c->in.len, READ_SIZE, MSG_DONTWAIT);
    int64_t now = now_ns();
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        drop_broken(s, c, "cannot receive");
        return;
    }
    if (n == 0) {
        drop_closed(s, c);
        return;
    }
    c->in.len += (size_t)n;
    take_replies(s, c, now);
    if (c->fd >= 0 && !c->serial && may_ask(s, now))
        ask_again(s, c);
}

/* --- the run -------------------------------------------------------------------- */

static enum err connect_client(struct swarm *s, struct client *c, struct error *error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t len = strlen(s->plan->socket);
    if (len >= sizeof address.sun_path)
        return fail(error, ERR_CONFIG, "a socket's path may have at most %zu bytes; '%s' has %zu",
                    sizeof address.sun_path - 1, s->plan->socket, len);
    memcpy(address.sun_path, s->plan->socket, len);

    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return fail_sys(error, "cannot make a socket");
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0)
        return fail_sys(error, "cannot connect to %s", s->plan->socket);
    if (!watch(s, c, EPOLL_CTL_ADD))
        return fail_sys(error, "cannot watch a socket");
    return OK;
}

static enum err gather(struct swarm *s, struct error *error)
{
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (s->epoll < 0)
        return fail_sys(error, "cannot watch sockets");
    s->clients = calloc(s->plan->connections, sizeof *s->clients);
    if (!s->clients)
        return fail_nomem(error);
    for (unsigned i = 0; i < s->plan->connections; i++) {
        s->clients[i].fd = -1;
        buf_init(&s->clients[i].out, BYTES_MAX);
        buf_init(&s->clients[i].in, BYTES_MAX);
    }
    enum err e = OK;
    for (unsigned i = 0; !e && i < s->plan->connections; i++)
        e = connect_client(s, &s->clients[i], error);
    return e;
}

static void scatter(struct swarm *s)
{
    for (unsigned i = 0; s->clients && i < s->plan->connections; i++) {
        close_fd(&s->clients[i].fd);
        buf_done(&s->clients[i].out);
        buf_done(&s->clients[i].in);
    }
    free(s->clients);
    close_fd(&s->epoll);
}

static enum err serve_events(struct swarm *s, struct error *error)
{
    struct epoll_event events[EVENTS_PER_WAIT];
    int n = epoll_wait(s->epoll, events, EVENTS_PER_WAIT, s->plan->patience_ms);
    if (n < 0 && errno != EINTR)
        return fail_sys(error, "cannot wait for sockets");
    if (n == 0)
        drop_silent(s);
    for (int i = 0; i < n && !s->broken; i++) {
        struct client *c = events[i].data.ptr;
        if (events[i].events & EPOLLOUT)
            send_rest(s, c);
        if (c->fd >= 0 && events[i].events & ~(uint32_t)EPOLLOUT)
            read_some(s, c);
    }
    return s->broken ? fail_nomem(error) : OK;
}

static enum err converse(struct swarm *s, struct error *error)
{
    s->began_ns = s->ended_ns = now_ns();
    for (unsigned i = 0; i < s->plan->connections && may_ask(s, s->began_ns); i++)
        ask(s, &s->clients[i]);
    enum err e = s->broken ? fail_nomem(error) : OK;
    while (!e && s->in_flight > 0)
        e = serve_events(s, error);
    s->tally->elapsed_ns = s->ended_ns - s->began_ns;
    return e;
}

/* All is answered: is there anything more? */
static void say_goodbye(struct swarm *s, struct client *c)
{
    char surplus[SHOWN_MAX];
    struct error why;
    shutdown(c->fd, SHUT_WR);
    struct pollfd server = { .fd = c->fd, .events = POLLIN };
    if (poll(&server, 1, s->plan->patience_ms) <= 0) {
        fail(&why, ERR_CLOSED, "the server does not close a connection that was half-closed");
        drop_mixed_up(s, c, &why);
        return;
    }
    ssize_t n = recv(c->fd, surplus, sizeof surplus, MSG_DONTWAIT);
    if (n > 0) {
        fail(&why, ERR_MISMATCH, "after the last answer came %.*s", first_line(surplus, (size_t)n),
             surplus);
        drop_mixed_up(s, c, &why);
    }
}

enum err swarm_run(const struct plan *plan, struct tally *ret, struct error *error)
{
    struct swarm s = { .plan = plan, .tally = ret, .epoll = -1 };
    *ret = (struct tally){ 0 };
    enum err e = gather(&s, error);
    if (!e)
        e = converse(&s, error);
    for (unsigned i = 0; !e && i < plan->connections; i++)
        if (s.clients[i].fd >= 0)
            say_goodbye(&s, &s.clients[i]);
    scatter(&s);
    return e;
}
