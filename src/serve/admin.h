/*
 * admin.h - those who watch the daemon, and its owner, who orders: the subscribers of the
 * admin socket.
 *
 * A newcomer is told what the daemon holds, one capabilities frame per backend that
 * ever was ready and the present state, and then every change.  A subscriber that is
 * 256 events behind is disconnected.
 */
#pragma once

#include "base/stream.h"
#include "journal/journal.h"
#include "wire/admin.h"

struct admin_ops {
    /* Follow an order: append the reply to `reply`, or fail with a sentence that is the
     * reply. */
    enum err (*ordered)(void *owner, const struct admin_order *order, struct buf *reply,
                        struct error *why);
};

struct admin {
    struct io *io;
    const struct admin_ops *ops;
    void *owner;
    struct journal *journal;
    struct list subscribers;
    enum lifecycle life;     /* that was told last */
    struct buf capabilities; /* of all backends, as they are told to a newcomer */
    struct buf state;        /* the last lifecycle frame */
    struct buf event;        /* the one being told */
    struct buf reply;        /* likewise */
};

void admin_init(struct admin *a, struct io *io, struct journal *journal,
                const struct admin_ops *ops, void *owner);

/* Disconnects everybody after what was said has left, or with `now` at once. */
void admin_close(struct admin *a, bool now);
void admin_done(struct admin *a);

/* Takes `fd`. */
void admin_accept(struct admin *a, int fd);

/* Tell everybody the state; the same one twice is told once. */
void admin_tell_status(struct admin *a, enum lifecycle life, const struct phase_news *phase);

/* The same with the words of somebody else; see admin_put_foreign(). */
void admin_tell_foreign(struct admin *a, const json_t *tree);

/* What backends can do, `n` of them in the order of their labels: told to newcomers
 * from now on, and the one at `changed` (if that is less than `n`) to everybody. */
struct admin_backend {
    const char *label;
    const struct capabilities *capabilities;
};
void admin_tell_capabilities(struct admin *a, const struct admin_backend *backends, size_t n,
                             size_t changed);
