/*
 * accounting.c - see accounting.h.
 *
 * A ledger's accounts are ordered by their last booking, so the one that asks most is found
 * first, and the one to make room is the last.
 */
#include "journal/accounting.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

/* clang-format off */
#define SECONDS(name, ...) \
    { name, sizeof((double[]){ __VA_ARGS__ }) / sizeof(double), { __VA_ARGS__ } }

/* vLLM's, and finer ones below: its first are 0.3 s for the queue and the request, and
 * 0.01 s between tokens. */
const struct bounds latency_bounds[LATENCIES] = {
    [LATENCY_QUEUE] = SECONDS("queue_wait",
        0.001, 0.005, 0.01, 0.025, 0.05, 0.1,
        0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680),
    [LATENCY_FIRST_TOKEN] = SECONDS("time_to_first_token",
        0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
        0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560),
    [LATENCY_INTER_TOKEN] = SECONDS("inter_token", GAP_BOUNDS_LIST),
    [LATENCY_REQUEST] = SECONDS("request",
        0.001, 0.005, 0.01, 0.025, 0.05, 0.1,
        0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680),
};
/* clang-format on */

/* --- totals ----------------------------------------------------------------- */

/* `us` microseconds; a negative time is none. */
static void observe(struct totals *t, enum latency which, int64_t us)
{
    const struct bounds *bounds = &latency_bounds[which];
    struct histogram *h = &t->latencies[which];
    double seconds = (double)us / 1e6;
    size_t bucket = 0;
    if (us < 0)
        return;
    while (bucket < bounds->n && seconds > bounds->at[bucket])
        bucket++;
    h->counts[bucket]++;
    h->count++;
    h->sum += seconds;
}

/* They were counted as they came, in the same buckets. */
static void add_gaps(struct histogram *h, const struct gaps *gaps)
{
    h->count += gaps->n;
    h->sum += (double)gaps->sum_us / 1e6;
    for (size_t i = 0; i < ARRAY_LEN(gaps->counts); i++)
        h->counts[i] += gaps->counts[i];
}

static void count_error(struct totals *t, enum err code)
{
    enum err known = ERR_INTERNAL;
    if (error_from_wire_name(error_wire_name(code), &known))
        code = known;
    t->errors[code]++;
}

static void count_end(struct totals *t, const struct report *r)
{
    t->requests++;
    switch (r->end) {
    case REPORT_DONE:
        t->done++;
        return;
    case REPORT_ABANDONED:
        t->abandoned++;
        return;
    case REPORT_FAILED:
        t->failed++;
        break;
    case REPORT_REFUSED:
        t->refused++;
        break;
    }
    count_error(t, r->error);
}

static void book(struct totals *t, const struct report *r)
{
    count_end(t, r);
    t->prompt_tokens += r->prompt_tokens;
    t->completion_tokens += r->completion_tokens;
    t->cached_tokens += r->cached_tokens;
    observe(t, LATENCY_QUEUE, r->queue_us);
    observe(t, LATENCY_FIRST_TOKEN, r->first_text_us);
    observe(t, LATENCY_REQUEST, r->total_us);
    add_gaps(&t->latencies[LATENCY_INTER_TOKEN], &r->gaps);
}

static void add_histogram(struct histogram *to, const struct histogram *from)
{
    to->count += from->count;
    to->sum += from->sum;
    for (size_t i = 0; i < ARRAY_LEN(to->counts); i++)
        to->counts[i] += from->counts[i];
}

static void add_totals(struct totals *to, const struct totals *from)
{
    to->requests += from->requests;
    to->done += from->done;
    to->failed += from->failed;
    to->abandoned += from->abandoned;
    to->refused += from->refused;
    to->prompt_tokens += from->prompt_tokens;
    to->completion_tokens += from->completion_tokens;
    to->cached_tokens += from->cached_tokens;
    for (size_t i = 0; i < ARRAY_LEN(to->errors); i++)
        to->errors[i] += from->errors[i];
    for (size_t i = 0; i < LATENCIES; i++)
        add_histogram(&to->latencies[i], &from->latencies[i]);
}

/* --- accounts --------------------------------------------------------------- */

static void ledger_init(struct ledger *l, size_t max)
{
    *l = (struct ledger){ .max = max };
    list_init(&l->accounts);
}

static struct account *last_of(struct ledger *l)
{
    return CONTAINER_OF(l->accounts.ends.prev, struct account, link);
}

static void close_account(struct accounting *books, struct ledger *l, struct account *a)
{
    add_totals(&l->others, &a->totals);
    list_remove(&l->accounts, &a->link);
    if (a->caller)
        caller_drop(books->known, a->caller);
    free(a);
}

static struct account *open_account(struct accounting *books, struct ledger *l, struct caller *c,
                                    const char *name)
{
    struct account *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->caller = c ? caller_hold(c) : NULL;
    snprintf(a->name, sizeof a->name, "%s", name);
    if (l->accounts.len == l->max)
        close_account(books, l, last_of(l));
    list_prepend(&l->accounts, &a->link);
    return a;
}

/* The account, moved to the front; NULL: there is none. */
static struct account *find_account(struct ledger *l, const struct caller *c, const char *name)
{
    LIST_EACH(struct account, a, &l->accounts, link) {
        if (a->caller == c && strncmp(a->name, name, sizeof a->name - 1) == 0) {
            list_remove(&l->accounts, &a->link);
            list_prepend(&l->accounts, &a->link);
            return a;
        }
    }
    return NULL;
}

static void ledger_book(struct accounting *books, struct ledger *l, struct caller *c,
                        const char *name, const struct report *r)
{
    struct account *a = find_account(l, c, name);
    if (!a)
        a = open_account(books, l, c, name);
    book(a ? &a->totals : &l->others, r);
}

/* --- what others call ------------------------------------------------------- */

void accounting_init(struct accounting *a, struct callers *callers)
{
    *a = (struct accounting){ .known = callers, .since_ms = clock_ms() };
    ledger_init(&a->callers, ACCOUNTED_CALLERS_MAX);
    ledger_init(&a->backends, ACCOUNTED_BACKENDS_MAX);
}

void accounting_done(struct accounting *a)
{
    struct ledger *ledgers[] = { &a->callers, &a->backends };
    for (size_t i = 0; i < ARRAY_LEN(ledgers); i++)
        while (ledgers[i]->accounts.len)
            close_account(a, ledgers[i], last_of(ledgers[i]));
}

void accounting_book(struct accounting *a, const struct report *r)
{
    book(&a->all, r);
    ledger_book(a, &a->callers, r->origin.caller, "", r);
    if (r->backend)
        ledger_book(a, &a->backends, NULL, r->backend, r);
}
