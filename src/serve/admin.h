/*
 * admin.h - those who watch the daemon: the subscribers of the admin socket.
 *
 * A newcomer is told what the daemon holds, one capabilities frame per backend that
 * ever was ready and the present state, and then every change.  A subscriber that is
 * 256 events behind is disconnected.
 */
#pragma once

#include "base/stream.h"
#include "journal/journal.h"
#include "wire/admin.h"

struct admin {
    struct io *io;
    struct journal *journal;
    struct list subscribers;
    struct buf capabilities; /* of all backends, as they are told to a newcomer */
    struct buf state;        /* the last lifecycle frame */
    struct buf event;        /* the one being told */
};

void admin_init(struct admin *a, struct io *io, struct journal *journal);

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
 * from now on, and the one at `changed` to everybody. */
struct admin_backend {
    const char *label;
    const struct capabilities *capabilities;
};
void admin_tell_capabilities(struct admin *a, const struct admin_backend *backends, size_t n,
                             size_t changed);
