/*
 * queue.h - who waits, and whose turn it is.
 *
 *     turns:  user 1000 --> user 1001 --> user -1       one request each, then the next
 *                |
 *                +-- python --> inferdctl               and within a user its programs
 *                       |
 *                       +-- request --> request         oldest first
 *
 * Next is the user whose last turn was longest ago: each that waits is served one request per
 * round, whatever the number of programs it runs and of requests they have sent, and who comes
 * after a while is next.  Within its share, each of its programs likewise.
 * When the queue is full, whoever holds most loses its newest entry to one that holds less
 * than its share, until both hold as much.
 *
 * A request may be there for later: it is served when no other can be, in the same turns, and
 * gives way to any other.
 *
 * What adding, taking and removing cost depends on how many wait, not on how much they have
 * sent.  Nothing allocates.
 */
#pragma once

#include "core/caller.h"
#include "core/request.h"

struct queue {
    struct list requests;       /* all that wait, oldest first */
    struct list turns;          /* of users that wait, the next to be served first */
    uint64_t served;            /* turns there were so far */
    size_t needing[NEED_MASKS]; /* how many of them have such needs */
};

void queue_init(struct queue *q);

/* A NEW request is WAITING. */
void queue_add(struct queue *q, struct request *r);

/* The one to be served next of those that may be now; NULL: none of those that wait. */
struct request *queue_next(const struct queue *q,
                           bool (*may)(void *context, const struct request *r), void *context);

/* It is served: its user and its caller go to the end of their rounds.  What it becomes
 * next is for the caller of this to say, with request_move(), at once. */
void queue_take(struct queue *q, struct request *r);

/* It leaves for another reason, which costs nobody a turn.  Likewise. */
void queue_remove(struct queue *q, struct request *r);

/* Whose entry a request of `c` may have when there is no room for one more; NULL: nobody's.
 * The queue is as it was. */
struct request *queue_victim(const struct queue *q, const struct caller *c, bool later);
