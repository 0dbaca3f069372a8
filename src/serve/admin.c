/*
 * admin.c - frames kept as text, and a list of streams.
 *
 * Nothing is read from a subscriber; that it hangs up is noticed all the same.
 *
 * Frames are made once and copied to each subscriber.  Without memory for one, the
 * subscriber is disconnected: better no news than a gap in it.
 */
#include "serve/admin.h"

#include <string.h>

#include "base/log.h"
#include "serve/peer.h"

enum {
    BEHIND_MAX = 256, /* events a subscriber may be behind */
    FRAMES_MAX = 1024 * 1024,
};

struct subscriber {
    struct link link;
    struct admin *admin;
    struct stream stream;
    unsigned behind; /* events told since all had left */
    bool closing;
};

static void free_subscriber(struct stream *s)
{
    free(CONTAINER_OF(s, struct subscriber, stream));
}

static void drop(struct subscriber *s)
{
    list_remove(&s->admin->subscribers, &s->link);
    stream_close(&s->stream, free_subscriber);
}

static void on_readable(struct stream *s UNUSED)
{
}

static void on_flushed(struct stream *stream)
{
    struct subscriber *s = CONTAINER_OF(stream, struct subscriber, stream);
    if (stream_unsent(stream) > 0)
        return;
    s->behind = 0;
    if (s->closing)
        drop(s);
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

void admin_init(struct admin *a, struct io *io, struct journal *journal)
{
    *a = (struct admin){ .io = io, .journal = journal };
    list_init(&a->subscribers);
    buf_init(&a->capabilities, FRAMES_MAX);
    buf_init(&a->state, FRAMES_MAX);
    buf_init(&a->event, FRAMES_MAX);
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
    struct peer peer = peer_of(fd);
    struct visitor visitor = { "admin", "unix", peer.uid, peer.gid, peer.pid, peer.exe };
    journal_accepted(a->journal, &visitor);
    peer_done(&peer);
    list_append(&a->subscribers, &s->link);
    if (stream_write(&s->stream, a->capabilities.at, a->capabilities.len) ||
        stream_write(&s->stream, a->state.at, a->state.len))
        drop(s);
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
    buf_clear(&a->event);
    if (admin_put_status(&a->event, life, phase))
        log_error("no memory to tell that the state is %s", lifecycle_name(life));
    else if (tell_event(a))
        journal_state(a->journal, lifecycle_name(life), phase ? phase_name(phase->phase) : NULL);
}

void admin_tell_foreign(struct admin *a, const json_t *tree)
{
    buf_clear(&a->event);
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
    if (!e)
        e = admin_put_capabilities(&a->event, backends[changed].label,
                                   backends[changed].capabilities);
    if (e)
        log_error("no memory to tell what the backends can do");
    else
        tell_all(a, &a->event);
}
