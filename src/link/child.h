/*
 * child.h - one run of one engine program: a process and the socket to it.
 *
 * A child is started, speaks frames on its descriptor 3, and ends once.  Whatever
 * kills it or however it breaks the protocol, its owner hears every frame that came
 * before, then exactly one `ended`.
 */
#pragma once

#include "base/stream.h"
#include "proto/frame.h"

struct child;

struct child_end {
    int signal;            /* that killed it; 0 if it exited */
    int status;            /* its exit code */
    struct error protocol; /* code is OK unless it broke the protocol and was killed for it */
};

struct child_ops {
    /* A frame; its payload is valid during the call.  Anything but OK means that
     * the child can't be trusted any more: it is killed. */
    enum err (*frame)(void *owner, const struct frame *frame, struct error *error);

    /* The process is gone and all it sent was delivered.  The child frees itself
     * after this. */
    void (*ended)(void *owner, const struct child_end *end);
};

/* `what` could not be done with `path`, as `number` (of errno) says: ERR_EXHAUSTED where it
 * may work later, else ERR_SYSTEM. */
enum err fail_start(struct error *error, int number, const char *what, const char *path);

/*
 * Start `program` (an absolute path) in "/" with an environment of our own choice.
 * `model_fd` becomes its descriptor 4; -1 is none.  It stays the caller's.
 *
 * ERR_EXHAUSTED  there are no descriptors, processes or memory for it now
 */
enum err child_start(struct io *io, const char *program, int model_fd, size_t max_payload,
                     const struct child_ops *ops, void *owner, struct child **ret,
                     struct error *error) MUST_USE;

/* From now on it may have so many bytes of memory of its own: what it maps from files, and
 * what it shares, does not count.  It can't undo that.  ERR_SYSTEM */
enum err child_limit_memory(struct child *c, uint64_t bytes, struct error *error) MUST_USE;

/* Queue whole frames.  A failure is lack of memory. */
enum err child_send(struct child *c, const struct buf *frames) MUST_USE;

/* The same, handed over (from malloc(); taken on failure too): for what is too large to
 * copy. */
enum err child_send_owned(struct child *c, char *frames, size_t len) MUST_USE;

/* SIGKILL; `ended` follows. */
void child_kill(struct child *c);

/* Tell nobody anything any more and kill it; for an owner that goes away. */
void child_orphan(struct child *c);

/* When it (or its socket's buffer) last took something of what was sent, in clock_ms();
 * 0: never. */
int64_t child_took_at(const struct child *c);

int child_pid(const struct child *c);
