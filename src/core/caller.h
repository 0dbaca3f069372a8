/*
 * caller.h - one executable of one user, as fairness, the accounts and the log see it.
 *
 *     callers --> user 1000 --> /usr/bin/python3.11   a caller
 *                           +-> /usr/bin/inferdctl    another
 *             +-> user -1   --> ""                    all of TCP
 *
 * However many processes and connections a program has, it is one caller; those of a user
 * whose executable can't be seen are one together.  A caller is there while anybody holds
 * it: a connection, a request, an account.  How many there are is bounded by that, and for
 * one user by EXECUTABLES_MAX with connections at a time; more of them count as one whose
 * executable can't be seen, so nobody gains anything by copying a program.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"

enum {
    CALLER_USERS_MAX = 4096,
    CALLER_EXECUTABLES_MAX = 64,
    CALLER_LABEL_MAX = 255, /* bytes; longer paths are cut */
};

struct user {
    struct link link;
    uid_t uid;
    struct list callers;
    size_t connected; /* of them, those with connections */
    size_t held;      /* bytes of its requests that are not whole yet; see serve/held.h */

    /* Of its callers' requests, those in the queue; see queue.h. */
    size_t waiting;
    struct list turns; /* of its callers that have some, the next to be served first */
    struct link turn;  /* its own, among users */
    uint64_t served;   /* the number of its last turn; 0: it had none */
};

struct caller {
    struct link link;
    struct user *user;
    uint64_t number; /* never used again */
    uid_t uid;       /* (uid_t)-1 where nobody attests it */
    char *label;     /* the path of its executable; "" unknown; owned */
    size_t holders;
    size_t connections;
    size_t running; /* its requests that engines have */

    /* Its requests in the queue, oldest first: those that are served in turn, and those that
     * are served when there is none of the others. */
    struct list waiting;
    struct list later;
    struct link turn; /* among its user's callers */
    uint64_t served;  /* as its user's */
};

struct callers {
    struct list users;
    uint64_t last_number;
};

void callers_init(struct callers *callers);

/* A connection of that executable (NULL: it can't be seen) begins; to be ended with
 * caller_leave().  NULL without memory, or when there are too many users. */
struct caller *callers_enter(struct callers *callers, uid_t uid, const char *label) MUST_USE;
void caller_leave(struct callers *callers, struct caller *c);

/* How many requests it has in the queue. */
static inline size_t caller_waits(const struct caller *c)
{
    return c->waiting.len + c->later.len;
}

/* It is to be there until caller_drop(), connected or not. */
struct caller *caller_hold(struct caller *c);
void caller_drop(struct callers *callers, struct caller *c);
