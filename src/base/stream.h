/*
 * stream.h - a socket on the loop, and what waits to be written to it.
 *
 *     static const struct stream_ops ops = { readable, flushed, gone };
 *     stream_open(&io, &c->stream, fd, &ops, &error);
 *     stream_want_read(&c->stream, true);
 *     stream_write(&c->stream, bytes, n);
 *     stream_close(&c->stream, free_it);
 *
 * Writing only queues.  What a turn of the loop has queued leaves in one go before
 * the loop sleeps, so many small frames cost one system call, and a write that
 * fails is told from the loop, never from within stream_write(): whoever writes
 * need not fear that the stream is gone when the call returns.
 *
 * A peer that hangs up is noticed even while nothing is read from it.
 */
#pragma once

#include <uv.h>

#include "base/buf.h"
#include "base/list.h"

/* What all streams of a loop share: those with something to write. */
struct io {
    uv_loop_t *loop;
    uv_prepare_t before_sleep;
    struct list dirty;
};

struct stream;

struct stream_ops {
    /* There is something to read (or the end, or an error: read() tells). */
    void (*readable)(struct stream *s);

    /* Some of what was queued has left; stream_unsent() says how much has not. */
    void (*flushed)(struct stream *s);

    /* The peer is gone.  Called once, from the loop; close the stream. */
    void (*gone)(struct stream *s);
};

struct stream {
    struct io *io;
    const struct stream_ops *ops;
    int fd; /* owned; -1 once closed */
    uv_poll_t poll;
    int events; /* what `poll` waits for */
    bool want_read;
    bool blocked; /* the kernel takes no more for now */
    bool is_gone; /* told so already */
    struct link dirty;
    struct list out; /* of chunks, oldest first */
    size_t unsent;   /* bytes in `out` */
    void (*closed)(struct stream *s);
};

void io_init(struct io *io, uv_loop_t *loop);

/* Let the loop end: `io` has nothing more to do.  Streams must be closed first. */
void io_done(struct io *io);

/* Takes `fd`, on failure too, and makes it non-blocking.  Reads nothing until asked. */
enum err stream_open(struct io *io, struct stream *s, int fd, const struct stream_ops *ops,
                     struct error *error) MUST_USE;

void stream_want_read(struct stream *s, bool want);

/* Queue a copy of the bytes. */
enum err stream_write(struct stream *s, const void *bytes, size_t n) MUST_USE;

/* Queue the bytes themselves, from malloc(); taken on failure too. */
enum err stream_write_owned(struct stream *s, char *bytes, size_t n) MUST_USE;

static inline size_t stream_unsent(const struct stream *s)
{
    return s->unsent;
}

/* Close the descriptor and drop what is unsent; no callback but `closed` comes
 * after this, from the loop, and then the memory is the caller's again. */
void stream_close(struct stream *s, void (*closed)(struct stream *s));
