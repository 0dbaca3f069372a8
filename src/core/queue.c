/*
 * queue.c - see queue.h.
 *
 * A user is on queue.turns, and a caller on its user's turns, exactly while it has requests
 * that wait.  Both are in the order of their last turns, so that nobody has two while another
 * waits for one, however cleverly it comes and goes.
 */
#include "core/queue.h"

void queue_init(struct queue *q)
{
    *q = (struct queue){ 0 };
    list_init(&q->requests);
    list_init(&q->turns);
}

/* --- turns ------------------------------------------------------------------ */

static void await_turn_of_user(struct queue *q, struct user *u)
{
    LIST_EACH(struct user, other, &q->turns, turn) {
        if (other->served > u->served) {
            list_insert_before(&q->turns, &other->turn, &u->turn);
            return;
        }
    }
    list_append(&q->turns, &u->turn);
}

static void await_turn(struct caller *c)
{
    struct list *turns = &c->user->turns;
    LIST_EACH(struct caller, other, turns, turn) {
        if (other->served > c->served) {
            list_insert_before(turns, &other->turn, &c->turn);
            return;
        }
    }
    list_append(turns, &c->turn);
}

static void to_the_end(struct list *turns, struct link *turn)
{
    list_remove(turns, turn);
    list_append(turns, turn);
}

static struct list *list_of(struct request *r)
{
    struct caller *c = r->origin.caller;
    return r->later ? &c->later : &c->waiting;
}

void queue_add(struct queue *q, struct request *r)
{
    struct caller *c = r->origin.caller;
    struct user *u = c->user;
    q->needing[r->needs]++;
    list_append(list_of(r), &r->turn);
    if (caller_waits(c) == 1)
        await_turn(c);
    if (++u->waiting == 1)
        await_turn_of_user(q, u);
    request_move(r, REQUEST_WAITING, &q->requests);
}

void queue_remove(struct queue *q, struct request *r)
{
    struct caller *c = r->origin.caller;
    struct user *u = c->user;
    q->needing[r->needs]--;
    list_remove(list_of(r), &r->turn);
    if (caller_waits(c) == 0)
        list_remove(&u->turns, &c->turn);
    if (--u->waiting == 0)
        list_remove(&q->turns, &u->turn);
}

static struct request *next_of(const struct queue *q, bool later,
                               bool (*may)(void *context, const struct request *r), void *context)
{
    LIST_EACH(const struct user, u, &q->turns, turn)
        LIST_EACH(const struct caller, c, &u->turns, turn)
            LIST_EACH(struct request, r, later ? &c->later : &c->waiting, turn)
                if (may(context, r))
                    return r;
    return NULL;
}

struct request *queue_next(const struct queue *q,
                           bool (*may)(void *context, const struct request *r), void *context)
{
    struct request *r = next_of(q, false, may, context);
    return r ? r : next_of(q, true, may, context);
}

void queue_take(struct queue *q, struct request *r)
{
    struct caller *c = r->origin.caller;
    struct user *u = c->user;
    queue_remove(q, r);
    c->served = u->served = ++q->served;
    if (caller_waits(c) > 0)
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
        if (!most || caller_waits(c) > caller_waits(most))
            most = c;
    return most;
}

static struct request *newest_on(const struct list *list)
{
    return list->len ? CONTAINER_OF(list->ends.prev, struct request, turn) : NULL;
}

/* The newest for later, of whoever has most of those; NULL: there is none. */
static struct request *least_urgent(const struct queue *q)
{
    const struct caller *most = NULL;
    LIST_EACH(const struct user, u, &q->turns, turn)
        LIST_EACH(const struct caller, c, &u->turns, turn)
            if (!most || c->later.len > most->later.len)
                most = c;
    return most ? newest_on(&most->later) : NULL;
}

/* Who holds so much that one of its entries is due to `c`; NULL: nobody does. */
static const struct caller *find_richer(const struct queue *q, const struct caller *c)
{
    const struct user *u = c->user, *rich = largest_user(q);
    if (may_take(u->waiting, rich->waiting, q->requests.len, q->turns.len))
        return largest_caller(rich);
    if (u->waiting == 0)
        return NULL;
    const struct caller *richest = largest_caller(u);
    bool may = may_take(caller_waits(c), caller_waits(richest), u->waiting, u->turns.len);
    return may ? richest : NULL;
}

struct request *queue_victim(const struct queue *q, const struct caller *c, bool later)
{
    if (q->turns.len == 0)
        return NULL;
    struct request *victim = later ? NULL : least_urgent(q);
    if (victim)
        return victim;
    const struct caller *richer = find_richer(q, c);
    if (!richer)
        return NULL;
    return newest_on(later ? &richer->later : &richer->waiting);
}
