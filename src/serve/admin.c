/*
 * admin.c - frames kept as text, and a list of streams.
 *
 * A subscriber may send orders, or shut its side, or never write at all.  Its lines are
 * split here and not by a line_reader: one that makes no sense is answered, and the next
 * may make some.
 *
 * Frames are made once and copied to each subscriber.  Without memory for one, the
 * subscriber is disconnected: better no news than a gap in it.
 */
#include "serve/admin.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "serve/peer.h"

enum {
    BEHIND_MAX = 256, /* events a subscriber may be behind */
    FRAMES_MAX = 1024 * 1024,
    REPLY_MAX = 8 * 1024 * 1024,
    ORDER_MAX = 16 * 1024,
    UNSENT_HIGH = 64 * 1024, /* who does not read replies may not order more */
};

struct subscriber {
    struct link link;
    struct admin *admin;
    struct stream stream;
    struct peer peer;
    unsigned behind; /* events told since all had left */
    bool closing;
    struct buf line; /* the beginning of an order */
    bool too_long;   /* so was its beginning; what follows is thrown away to its end */
    bool heard_out;  /* it orders nothing more */
};

static void free_subscriber(struct stream *stream)
{
    struct subscriber *s = CONTAINER_OF(stream, struct subscriber, stream);
    buf_done(&s->line);
    free(s);
}

static void drop(struct subscriber *s)
{
    list_remove(&s->admin->subscribers, &s->link);
    stream_close(&s->stream, free_subscriber);
}

/* --- orders ----------------------------------------------------------------- */

static void reply(struct subscriber *s)
{
    struct buf *out = &s->admin->reply;
    if (stream_write(&s->stream, out->at, out->len)) {
        drop(s);
        return;
    }
    if (stream_unsent(&s->stream) > UNSENT_HIGH)
        stream_want_read(&s->stream, false);
}

static void refuse(struct subscriber *s, const char *op, const struct error *why)
{
    buf_clear(&s->admin->reply);
    if (admin_put_refusal(&s->admin->reply, op, why))
        drop(s); /* better no reply than one to another order */
    else
        reply(s);
}

/* Whoever may end the daemon may tell it what to do. */
static bool is_owner(const struct subscriber *s)
{
    return s->peer.uid == geteuid() || s->peer.uid == 0;
}

/* What was ordered of the daemon, by whom and whether it did it, is written down. */
static enum err obey(struct subscriber *s, const struct admin_order *order, struct error *why)
{
    struct admin *a = s->admin;
    const char *op = admin_op_name(order->op);
    enum err e = is_owner(s) ? a->ops->ordered(a->owner, order, &a->reply, why)
                             : fail(why, ERR_INVALID_REQUEST,
                                    "only the daemon's own user and root may order %s", op);
    if (order->op != ADMIN_STATS)
        journal_admin_op(a->journal, op, s->peer.uid, s->peer.pid, e);
    return e;
}

static bool is_blank(const struct buf *line)
{
    for (size_t i = 0; i < line->len; i++)
        if (!strchr(" \t\r\n", line->at[i]))
            return false;
    return true;
}

/* A whole line is there. */
static void take_line(struct subscriber *s)
{
    char op[ADMIN_OP_MAX + 1] = "";
    struct admin_order order;
    struct error why;
    bool blank = !s->too_long && is_blank(&s->line);
    enum err e = s->too_long
                     ? fail(&why, ERR_FRAME_TOO_LARGE, "an order has at most %d bytes", ORDER_MAX)
                 : blank ? OK
                         : admin_read_order(s->line.at, s->line.len, &order, op, &why);
    s->too_long = false;
    buf_done(&s->line); /* the next may take long to come */
    if (blank)
        return;
    buf_clear(&s->admin->reply);
    if (!e)
        e = obey(s, &order, &why);
    if (s->stream.fd < 0)
        return; /* it was told more than it could take, and dropped */
    if (e)
        refuse(s, op, &why);
    else
        reply(s);
}

static void take_bytes(struct subscriber *s, const char *bytes, size_t n, bool whole)
{
    if (!s->too_long && buf_append(&s->line, bytes, n)) {
        s->too_long = true;
        buf_done(&s->line);
    }
    if (whole)
        take_line(s);
}

/* One order per turn of the loop, however many have come: the others wait in the socket. */
static void on_readable(struct stream *stream)
{
    struct subscriber *s = CONTAINER_OF(stream, struct subscriber, stream);
    char bytes[4096];
    ssize_t n = recv(stream->fd, bytes, sizeof bytes, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        s->heard_out = true;
        stream_want_read(stream, false);
        if (s->line.len > 0 || s->too_long)
            take_line(s);
        return;
    }
    const char *end = memchr(bytes, '\n', (size_t)n);
    size_t len = end ? (size_t)(end - bytes) + 1 : (size_t)n;
    ssize_t taken = recv(stream->fd, bytes, len, 0);
    if (taken > 0)
        take_bytes(s, bytes, (size_t)taken, end != NULL);
}

/* --- subscribers ------------------------------------------------------------ */

static void on_flushed(struct stream *stream)
{
    struct subscriber *s = CONTAINER_OF(stream, struct subscriber, stream);
    if (stream_unsent(stream) > 0)
        return;
    s->behind = 0;
    if (s->closing)
        drop(s);
    else if (!s->heard_out)
        stream_want_read(stream, true);
}

static void on_gone(struct stream *stream)
{
    drop(CONTAINER_OF(stream, struct subscriber, stream));
}

static const struct stream_ops stream_ops = { on_readable, on_flushed, on_gone };

static void tell_one(struct subscriber *s, const struct buf *frames)
{
    if (frames->len == 0)
        return;
    if (++s->behind > BEHIND_MAX || stream_write(&s->stream, frames->at, frames->len))
        drop(s);
}

static void tell_all(struct admin *a, const struct buf *frames)
{
    LIST_EACH(struct subscriber, s, &a->subscribers, link)
        tell_one(s, frames);
}

void admin_init(struct admin *a, struct io *io, struct journal *journal,
                const struct admin_ops *ops, void *owner)
{
    *a = (struct admin){ .io = io, .journal = journal, .ops = ops, .owner = owner };
    list_init(&a->subscribers);
    buf_init(&a->capabilities, FRAMES_MAX);
    buf_init(&a->state, FRAMES_MAX);
    buf_init(&a->event, FRAMES_MAX);
    buf_init(&a->reply, REPLY_MAX);
}

void admin_close(struct admin *a, bool now)
{
    LIST_EACH(struct subscriber, s, &a->subscribers, link) {
        s->closing = true;
        if (now || stream_unsent(&s->stream) == 0)
            drop(s);
    }
}

void admin_done(struct admin *a)
{
    buf_done(&a->capabilities);
    buf_done(&a->state);
    buf_done(&a->event);
    buf_done(&a->reply);
}

void admin_accept(struct admin *a, int fd)
{
    struct error error;
    struct subscriber *s = calloc(1, sizeof *s);
    if (!s) {
        close(fd);
        return;
    }
    s->admin = a;
    if (stream_open(a->io, &s->stream, fd, &stream_ops, &error)) {
        log_warn("refusing an admin connection: %s", error.message);
        free(s);
        return;
    }
    buf_init(&s->line, ORDER_MAX);
    s->peer = peer_of(fd);
    struct visitor visitor = {
        "admin", "unix", s->peer.uid, s->peer.gid, s->peer.pid, s->peer.exe
    };
    journal_accepted(a->journal, &visitor);
    peer_done(&s->peer); /* its program is of no further interest */
    list_append(&a->subscribers, &s->link);
    if (stream_write(&s->stream, a->capabilities.at, a->capabilities.len) ||
        stream_write(&s->stream, a->state.at, a->state.len))
        drop(s);
    else
        stream_want_read(&s->stream, true);
}

/* `event` is the state from now on; false if it was before. */
static bool tell_event(struct admin *a)
{
    if (a->event.len == a->state.len && memcmp(a->event.at, a->state.at, a->state.len) == 0)
        return false;
    struct buf before = a->state;
    a->state = a->event;
    a->event = before;
    tell_all(a, &a->state);
    return true;
}

void admin_tell_status(struct admin *a, enum lifecycle life, const struct phase_news *phase)
{
    a->life = life;
    buf_clear(&a->event);
    if (admin_put_status(&a->event, life, phase))
        log_error("no memory to tell that the state is %s", lifecycle_name(life));
    else if (tell_event(a))
        journal_state(a->journal, lifecycle_name(life), phase ? phase_name(phase->phase) : NULL);
}

void admin_tell_foreign(struct admin *a, const json_t *tree)
{
    buf_clear(&a->event);
    a->life = LIFE_LOADING_MODEL;
    if (!admin_put_foreign(&a->event, tree))
        tell_event(a);
}

void admin_tell_capabilities(struct admin *a, const struct admin_backend *backends, size_t n,
                             size_t changed)
{
    enum err e = OK;
    buf_clear(&a->capabilities);
    for (size_t i = 0; !e && i < n; i++)
        e = admin_put_capabilities(&a->capabilities, backends[i].label, backends[i].capabilities);
    buf_clear(&a->event);
    if (!e && changed < n)
        e = admin_put_capabilities(&a->event, backends[changed].label,
                                   backends[changed].capabilities);
    if (e)
        log_error("no memory to tell what the backends can do");
    else
        tell_all(a, &a->event);
}
