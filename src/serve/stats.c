/*
 * stats.c - see stats.h.
 *
 * Everything is borrowed from where it lives, for as long as it takes to write it down.
 */
#include "serve/stats.h"

#include <string.h>

#include "base/clock.h"
#include "wire/stats.h"

enum { REQUESTS_MAX = 500 }; /* told; of more the oldest */

static const char *state_name(const struct backend *b)
{
    static const char *const names[] = {
        [ENGINE_STOPPED] = "stopped", [ENGINE_STARTING] = "loading_model",
        [ENGINE_READY] = "ready",     [ENGINE_RESTARTING] = "restarting",
        [ENGINE_FAILED] = "failed",
    };
    return b->retired ? "draining" : names[backend_state(b)];
}

/* --- totals ----------------------------------------------------------------- */

static struct stats_totals totals_of(const struct totals *t)
{
    struct stats_totals s = {
        .requests = t->requests,
        .done = t->done,
        .failed = t->failed,
        .abandoned = t->abandoned,
        .refused = t->refused,
        .prompt_tokens = t->prompt_tokens,
        .completion_tokens = t->completion_tokens,
        .cached_tokens = t->cached_tokens,
        .errors = t->errors,
        .n_errors = ARRAY_LEN(t->errors),
        .n_latencies = LATENCIES,
    };
    for (size_t i = 0; i < LATENCIES; i++)
        s.latencies[i] = (struct stats_latency){
            .name = latency_bounds[i].name,
            .count = t->latencies[i].count,
            .sum = t->latencies[i].sum,
            .n_bounds = latency_bounds[i].n,
            .bounds = latency_bounds[i].at,
            .counts = t->latencies[i].counts,
        };
    return s;
}

static const struct account *find_account(const struct ledger *ledger, const char *name)
{
    LIST_EACH(const struct account, a, &ledger->accounts, link)
        if (strcmp(a->name, name) == 0)
            return a;
    return NULL;
}

/* --- lists ------------------------------------------------------------------ */

static struct stats_backend backend_of(const struct backend *b, const struct accounting *books)
{
    const struct capabilities *c = &b->able;
    enum engine_state state = backend_state(b);
    struct stats_backend s = {
        .name = b->name,
        .kind = b->kind,
        .state = state_name(b),
        .capabilities = c->slots > 0 ? c : NULL,
        .usage = *engine_usage(b->engine),
        .slots = b->slots,
        .running = b->running.len,
        .pid = engine_pid(b->engine),
        .deaths = b->deaths,
        .breaker = breaker_state_name(breaker_state(&b->breaker, clock_ms())),
        .sha256 = b->setup.engine.model_sha256,
    };
    if (state == ENGINE_RESTARTING || state == ENGINE_FAILED)
        s.why = backend_why(b)->message;
    const struct account *a = find_account(&books->backends, b->name);
    s.booked = a != NULL;
    if (a)
        s.totals = totals_of(&a->totals);
    return s;
}

static enum err list_backends(struct stats *s, const struct core *core,
                              const struct accounting *books)
{
    s->backends = calloc(core->backends.len + core->retired.len + 1, sizeof *s->backends);
    if (!s->backends)
        return ERR_NO_MEMORY;
    LIST_EACH(const struct backend, b, &core->backends, link)
        s->backends[s->n_backends++] = backend_of(b, books);
    LIST_EACH(const struct backend, b, &core->retired, link)
        s->backends[s->n_backends++] = backend_of(b, books);
    return OK;
}

static int64_t shown_uid(const struct caller *c)
{
    return c->uid == (uid_t)-1 ? -1 : (int64_t)c->uid;
}

static enum err list_callers(struct stats *s, const struct accounting *books)
{
    size_t n = books->callers.accounts.len;
    s->callers = calloc(n + 1, sizeof *s->callers);
    if (!s->callers)
        return ERR_NO_MEMORY;
    LIST_EACH(const struct account, a, &books->callers.accounts, link) {
        const struct caller *c = a->caller;
        s->callers[s->n_callers++] = (struct stats_caller){
            .number = c->number,
            .uid = shown_uid(c),
            .executable = c->label,
            .connections = c->connections,
            .waiting = caller_waits(c),
            .running = c->running,
            .totals = totals_of(&a->totals),
        };
    }
    return OK;
}

static void add_requests(struct stats *s, const struct list *list, const char *backend)
{
    static const char *const names[] = {
        [REQUEST_NEW] = "new",         [REQUEST_WAITING] = "waiting",
        [REQUEST_RUNNING] = "running", [REQUEST_CANCELLING] = "cancelling",
        [REQUEST_DONE] = "done",
    };
    LIST_EACH(const struct request, r, list, link) {
        if (s->n_requests == REQUESTS_MAX)
            return;
        s->requests[s->n_requests++] = (struct stats_request){
            .serial = r->serial,
            .state = names[r->state],
            .backend = backend,
            .surface = r->origin.surface,
            .uid = shown_uid(r->origin.caller),
            .pid = r->origin.pid,
            .executable = r->origin.caller->label,
            .age_ms = (double)(clock_us() - r->submitted_us) / 1000,
        };
    }
}

/* Those that run, by backend, then those that wait. */
static enum err list_requests(struct stats *s, const struct core *core)
{
    s->requests = calloc(REQUESTS_MAX, sizeof *s->requests);
    if (!s->requests)
        return ERR_NO_MEMORY;
    LIST_EACH(const struct backend, b, &core->retired, link)
        add_requests(s, &b->running, b->name);
    LIST_EACH(const struct backend, b, &core->backends, link)
        add_requests(s, &b->running, b->name);
    add_requests(s, &core->queue.requests, NULL);
    return OK;
}

enum err stats_reply(struct buf *out, const struct core *core, const struct accounting *books,
                     const struct journal *journal, enum lifecycle life, struct error *error)
{
    struct poison_counts poison = poison_count(&core->poison, clock_ms());
    struct stats s = {
        .version = INFERD_VERSION,
        .state = lifecycle_name(life),
        .uptime_seconds = (double)(clock_ms() - books->since_ms) / 1000,
        .queue_depth = core->queue_depth,
        .waiting = core->queue.requests.len,
        .suspects = poison.suspects,
        .refused = poison.refused,
        .log_works = journal_works(journal),
        .log_lost = journal_lost(journal),
        .totals = totals_of(&books->all),
        .other_callers = totals_of(&books->callers.others),
    };
    enum err e = list_backends(&s, core, books);
    if (!e)
        e = list_callers(&s, books);
    if (!e)
        e = list_requests(&s, core);
    if (!e)
        e = stats_put(out, &s);
    free(s.backends);
    free(s.callers);
    free(s.requests);
    if (e == ERR_FRAME_TOO_LARGE)
        return fail(error, e, "the figures take more room than a reply has");
    return e ? fail_nomem(error) : OK;
}
