/*
 * stream.c - a queue of chunks and a poll handle.
 *
 * Small writes are gathered in the last chunk; a large one that is handed over
 * becomes a chunk of its own and is never copied.
 *
 * A stream with news to write is on its loop's dirty list; the prepare handle, which
 * runs right before the loop sleeps, writes them all.  Only when the kernel takes no
 * more does the stream wait for writability.
 *
 * Hang-ups: epoll reports EPOLLHUP whatever one waits for, but libuv stops watching
 * a descriptor for which nothing is asked.  Asking for urgent data, which no client
 * of ours sends, keeps it watched; UV_DISCONNECT would do so, too, but fires at a
 * half-close already, and again in every turn.  So an urgent event means that the
 * peer has hung up (or sends what it should not).
 *
 * Each change of what a descriptor is watched for costs two system calls.  So one
 * that was watched for reading stays so until something comes that is not wanted: a
 * connection which reads nothing while it is answered mostly wants to read again
 * before that.
 */
#include "base/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

enum {
    CHUNK_SIZE = 16 * 1024,
    FIRST_CHUNK_SIZE = 1000, /* most streams have no more to say in one turn */
    COPY_MAX = 4 * 1024,     /* up to here a copy is cheaper than a chunk */
    WRITE_MAX = 256 * 1024,  /* per stream and turn, so that nobody holds the loop */
};

struct chunk {
    struct link link;
    char *bytes;
    size_t len;
    size_t cap;
    size_t sent;
};

static void chunk_free(struct stream *s, struct chunk *c)
{
    list_remove(&s->out, &c->link);
    free(c->bytes);
    free(c);
}

static void drop_chunks(struct stream *s)
{
    LIST_EACH(struct chunk, c, &s->out, link)
        chunk_free(s, c);
    s->unsent = 0;
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct stream *s, bool reading)
{
    int events = UV_PRIORITIZED | (reading ? UV_READABLE : 0) | (s->blocked ? UV_WRITABLE : 0);
    if (events == s->events)
        return;
    s->events = events;
    uv_poll_start(&s->poll, events, on_poll);
}

/* Wait for what there is to wait for. */
static void update_events(struct stream *s)
{
    watch(s, s->want_read || (s->events & UV_READABLE));
}

/* Tell the owner, once.  The stream waits for nothing from now on. */
static void tell_gone(struct stream *s)
{
    if (s->is_gone)
        return;
    s->is_gone = true;
    uv_poll_stop(&s->poll);
    s->ops->gone(s);
}

/* Write what the kernel takes, a bounded amount. */
static void flush(struct stream *s)
{
    size_t budget = WRITE_MAX;
    bool progress = false;
    struct link *first;

    s->blocked = false;
    while (!s->blocked && (first = list_first(&s->out))) {
        struct chunk *c = CONTAINER_OF(first, struct chunk, link);
        size_t want = c->len - c->sent < budget ? c->len - c->sent : budget;
        ssize_t n = send(s->fd, c->bytes + c->sent, want, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
            tell_gone(s);
            return;
        }
        if (n > 0) {
            progress = true;
            c->sent += (size_t)n;
            s->unsent -= (size_t)n;
            budget -= (size_t)n;
            if (c->sent == c->len)
                chunk_free(s, c);
        }
        if (n < 0 || budget == 0)
            s->blocked = list_first(&s->out) != NULL;
    }
    update_events(s);
    if (progress)
        s->ops->flushed(s);
}

static void flush_dirty(uv_prepare_t *handle)
{
    struct io *io = handle->data;
    struct link *first;
    while ((first = list_first(&io->dirty))) {
        struct stream *s = CONTAINER_OF(first, struct stream, dirty);
        list_remove(&io->dirty, &s->dirty);
        flush(s);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct stream *s = poll->data;
    if (status < 0) {
        tell_gone(s);
        return;
    }
    if ((events & UV_READABLE) && s->want_read)
        s->ops->readable(s);
    else if (events & UV_READABLE)
        watch(s, false);
    if ((events & UV_WRITABLE) && s->fd >= 0 && !s->is_gone)
        flush(s);
    if ((events & UV_PRIORITIZED) && s->fd >= 0)
        tell_gone(s);
}

void io_init(struct io *io, uv_loop_t *loop)
{
    io->loop = loop;
    list_init(&io->dirty);
    uv_prepare_init(loop, &io->before_sleep); /* these three can't fail */
    io->before_sleep.data = io;
    uv_prepare_start(&io->before_sleep, flush_dirty);
    uv_unref((uv_handle_t *)&io->before_sleep);
}

void io_done(struct io *io)
{
    uv_close((uv_handle_t *)&io->before_sleep, NULL);
}

enum err stream_open(struct io *io, struct stream *s, int fd, const struct stream_ops *ops,
                     struct error *error)
{
    *s = (struct stream){ .io = io, .ops = ops, .fd = fd };
    list_init(&s->out);
    s->poll.data = s;
    int e = uv_poll_init(io->loop, &s->poll, fd); /* sets O_NONBLOCK */
    if (e < 0) {
        close_fd(&s->fd);
        return fail(error, ERR_SYSTEM, "cannot watch a socket: %s", uv_strerror(e));
    }
    update_events(s);
    return OK;
}

void stream_want_read(struct stream *s, bool want)
{
    s->want_read = want;
    if (!s->is_gone)
        update_events(s);
}

static void mark_dirty(struct stream *s)
{
    if (!s->blocked && !s->is_gone && !link_listed(&s->dirty))
        list_append(&s->io->dirty, &s->dirty);
}

static enum err append_chunk(struct stream *s, char *bytes, size_t len, size_t cap)
{
    struct chunk *c = calloc(1, sizeof *c);
    if (!c) {
        free(bytes);
        return ERR_NO_MEMORY;
    }
    c->bytes = bytes;
    c->len = len;
    c->cap = cap;
    list_append(&s->out, &c->link);
    s->unsent += len;
    mark_dirty(s);
    return OK;
}

enum err stream_write(struct stream *s, const void *bytes, size_t n)
{
    if (n == 0)
        return OK;
    struct chunk *last =
        list_first(&s->out) ? CONTAINER_OF(s->out.ends.prev, struct chunk, link) : NULL;
    if (last && last->cap - last->len >= n) {
        memcpy(last->bytes + last->len, bytes, n);
        last->len += n;
        s->unsent += n;
        mark_dirty(s);
        return OK;
    }
    size_t least = last ? CHUNK_SIZE : FIRST_CHUNK_SIZE;
    size_t cap = n > least ? n : least;
    char *copy = malloc(cap);
    if (!copy)
        return ERR_NO_MEMORY;
    memcpy(copy, bytes, n);
    return append_chunk(s, copy, n, cap);
}

enum err stream_write_owned(struct stream *s, char *bytes, size_t n)
{
    if (n > COPY_MAX)
        return append_chunk(s, bytes, n, n);
    enum err e = stream_write(s, bytes, n);
    free(bytes);
    return e;
}

static void on_closed(uv_handle_t *handle)
{
    struct stream *s = handle->data;
    s->closed(s);
}

void stream_close(struct stream *s, void (*closed)(struct stream *s))
{
    if (link_listed(&s->dirty))
        list_remove(&s->io->dirty, &s->dirty);
    drop_chunks(s);
    s->closed = closed;
    uv_close((uv_handle_t *)&s->poll, on_closed);
    close_fd(&s->fd);
}
