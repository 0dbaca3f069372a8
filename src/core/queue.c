/*
 * queue.c - see queue.h.
 *
 * A user is on queue.turns, and a caller on its user's turns, exactly while it has requests
 * that wait.  Who comes to wait goes to the end of the round, so it is served before anybody
 * is served twice.
 */
#include "core/queue.h"

void queue_init(struct queue *q)
{
    *q = (struct queue){ 0 };
    list_init(&q->requests);
    list_init(&q->turns);
}

/* --- turns ------------------------------------------------------------------ */

static void to_the_end(struct list *turns, struct link *turn)
{
    list_remove(turns, turn);
    list_append(turns, turn);
}

void queue_add(struct queue *q, struct request *r)
{
    struct caller *c = r->origin.caller;
    struct user *u = c->user;
    q->needing[r->needs]++;
    list_append(&c->waiting, &r->turn);
    if (c->waiting.len == 1)
        list_append(&u->turns, &c->turn);
    if (++u->waiting == 1)
        list_append(&q->turns, &u->turn);
    request_move(r, REQUEST_WAITING, &q->requests);
}

void queue_remove(struct queue *q, struct request *r)
{
    struct caller *c = r->origin.caller;
    struct user *u = c->user;
    q->needing[r->needs]--;
    list_remove(&c->waiting, &r->turn);
    if (c->waiting.len == 0)
        list_remove(&u->turns, &c->turn);
    if (--u->waiting == 0)
        list_remove(&q->turns, &u->turn);
}

struct request *queue_next(const struct queue *q,
                           bool (*may)(void *context, const struct request *r), void *context)
{
    LIST_EACH(const struct user, u, &q->turns, turn)
        LIST_EACH(const struct caller, c, &u->turns, turn)
            LIST_EACH(struct request, r, &c->waiting, turn)
                if (may(context, r))
                    return r;
    return NULL;
}

void queue_take(struct queue *q, struct request *r)
{
    struct caller *c = r->origin.caller;
    struct user *u = c->user;
    queue_remove(q, r);
    if (c->waiting.len > 0)
        to_the_end(&u->turns, &c->turn);
    if (u->waiting > 0)
        to_the_end(&q->turns, &u->turn);
}

/* --- shares ----------------------------------------------------------------- */

/*
 * May one that holds `mine` take an entry of one that holds `most`?  All `n` who wait hold
 * `total`; who does not wait has less than its share, whatever that is.  The entry has to be
 * worth moving: where the two would only change places, the next request moved it back.
 */
static bool may_take(size_t mine, size_t most, size_t total, size_t n)
{
    return mine * n < total && most >= mine + 2;
}

static struct user *largest_user(const struct queue *q)
{
    struct user *most = NULL;
    LIST_EACH(struct user, u, &q->turns, turn)
        if (!most || u->waiting > most->waiting)
            most = u;
    return most;
}

static struct caller *largest_caller(const struct user *u)
{
    struct caller *most = NULL;
    LIST_EACH(struct caller, c, &u->turns, turn)
        if (!most || c->waiting.len > most->waiting.len)
            most = c;
    return most;
}

static struct request *newest_of(const struct caller *c)
{
    return CONTAINER_OF(c->waiting.ends.prev, struct request, turn);
}

struct request *queue_victim(const struct queue *q, const struct caller *c)
{
    const struct user *u = c->user;
    if (q->turns.len == 0)
        return NULL;
    const struct user *rich = largest_user(q);
    if (may_take(u->waiting, rich->waiting, q->requests.len, q->turns.len))
        return newest_of(largest_caller(rich));
    if (u->waiting == 0)
        return NULL;
    const struct caller *richest = largest_caller(u);
    if (may_take(c->waiting.len, richest->waiting.len, u->waiting, u->turns.len))
        return newest_of(richest);
    return NULL;
}
