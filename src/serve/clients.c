/*
 * clients.c - who comes in, and how all of them go.
 */
#include "serve/clients.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/log.h"
#include "serve/access.h"
#include "serve/conn.h"

enum { SWEEP_MS = 500 };

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

/* Why it may not come in, as far as its socket takes that at once.  Nothing is said to one
 * that would have to say a key first. */
static void tell(struct conn *c, int fd, const struct error *error)
{
    struct buf *scratch = &c->clients->scratch;
    if (c->tcp && c->clients->config->api_key)
        return;
    if (!conn_put_error(c, NULL, error) &&
        send(fd, scratch->at, scratch->len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_debug("a caller that was refused was gone before it was told");
    buf_clear(scratch);
}

static bool is_allowed(struct conn *c, int fd)
{
    struct error error;
    if (c->tcp || access_allows(c->clients->config, &c->peer, fd))
        return true;
    fail(&error, ERR_INVALID_REQUEST, "user %u is not among those that this daemon serves",
         (unsigned)c->peer.uid);
    tell(c, fd, &error);
    return false;
}

/* All of TCP is one caller, so those who may not even ask must not keep others out: the one
 * that has owed the key for longest goes. */
static bool make_room(struct clients *clients)
{
    LIST_EACH(struct conn, other, &clients->conns, link) {
        if (other->needs_key) {
            conn_close(other);
            return true;
        }
    }
    return false;
}

static bool has_room(struct conn *c, int fd)
{
    uint32_t max = c->clients->config->connections_per_caller;
    struct error error;
    if (c->caller->connections <= max || (c->tcp && make_room(c->clients)))
        return true;
    fail(&error, ERR_QUEUE_FULL,
         "this program has %u connections, and no more are allowed (connections_per_caller)", max);
    tell(c, fd, &error);
    return false;
}

/* NULL if it may; else the log's word for the reason. */
static const char *may_come_in(struct conn *c, int fd)
{
    struct clients *clients = c->clients;
    if (!is_allowed(c, fd))
        return "not_allowed";
    c->caller = callers_enter(&clients->core->callers, c->peer.uid, c->peer.exe);
    if (!c->caller)
        return "no_resources";
    return has_room(c, fd) ? NULL : "too_many_connections";
}

/* Likewise; takes `fd`, and what is not let in leaves nothing behind. */
static const char *let_in(struct conn *c, int fd)
{
    struct error error;
    const char *why = may_come_in(c, fd);
    if (why) {
        close(fd);
    } else if (conn_open(c, fd, &error)) {
        log_warn("refusing a connection of pid %d: %s", (int)c->peer.pid, error.message);
        why = "no_resources";
    }
    if (why && c->caller)
        caller_leave(&c->clients->core->callers, TAKE(c->caller));
    return why;
}

static void begin(struct conn *c)
{
    struct clients *clients = c->clients;
    list_append(&clients->conns, &c->link);
    if (clients->conns.len == 1)
        uv_timer_start(&clients->sweep, clients_sweep, SWEEP_MS, SWEEP_MS);
    conn_begin(c);
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
    struct visitor visitor = conn_visitor(c);
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
    LIST_EACH(struct conn, c, &clients->conns, link)
        conn_drain(c);
}

void clients_drop(struct clients *clients)
{
    LIST_EACH(struct conn, c, &clients->conns, link)
        conn_close(c);
}
