/*
 * stats.c - see stats.h.
 *
 * Many callers times many buckets is more than anybody reads and more than the loop has
 * time for: a caller's latencies are told as quantiles only, those of backends and of the
 * daemon with how many there were in each bucket.
 */
#include "wire/stats.h"

#include <string.h>

#include "base/utf8.h"
#include "wire/admin.h"

/* --- members ---------------------------------------------------------------- */

static bool set(json_t *tree, const char *key, json_t *value)
{
    return json_object_set_new(tree, key, value) == 0;
}

/* Paths of programs need not be UTF-8. */
static bool set_text(json_t *tree, const char *key, const char *text)
{
    if (!text || !text[0])
        return true;
    CLEANUP(free_ptr) char *copy = strdup(text);
    if (!copy)
        return false;
    utf8_scrub(copy, strlen(copy));
    return set(tree, key, json_string(copy));
}

static bool set_count(json_t *tree, const char *key, uint64_t n)
{
    return set(tree, key, json_integer((json_int_t)n));
}

/* Left out where it is 0. */
static bool set_number(json_t *tree, const char *key, uint64_t n)
{
    return n == 0 || set_count(tree, key, n);
}

/* --- totals ----------------------------------------------------------------- */

/* The time within which a share of all stayed, as far as the buckets tell: as if those in
 * one had been spread evenly.  What is above all bounds counts as the last of them. */
static double quantile(const struct stats_latency *l, double share)
{
    double wanted = share * (double)l->count, below = 0;
    for (size_t i = 0; i < l->n_bounds; i++) {
        double here = (double)l->counts[i], from = i ? l->bounds[i - 1] : 0;
        if (here > 0 && below + here >= wanted)
            return from + (l->bounds[i] - from) * (wanted - below) / here;
        below += here;
    }
    return l->n_bounds ? l->bounds[l->n_bounds - 1] : 0;
}

static json_t *counts_tree(const struct stats_latency *l)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i <= l->n_bounds; i++) {
        if (json_array_append_new(list, json_integer((json_int_t)l->counts[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* The bounds of the buckets, which are the same for everybody. */
static json_t *bounds_tree(const struct stats_totals *t)
{
    CLEANUP(json_drop) json_t *tree = json_object();
    for (size_t i = 0; i < t->n_latencies; i++) {
        const struct stats_latency *l = &t->latencies[i];
        json_t *list = json_array();
        if (!set(tree, l->name, list)) /* taken, on failure too */
            return NULL;
        for (size_t j = 0; j < l->n_bounds; j++)
            if (json_array_append_new(list, json_real(l->bounds[j])) < 0)
                return NULL;
    }
    return TAKE(tree);
}

static json_t *latency_tree(const struct stats_latency *l, bool counts)
{
    CLEANUP(json_drop)
    json_t *tree = json_pack("{sI sf}", "count", (json_int_t)l->count, "sum", l->sum);
    bool made = tree != NULL;
    if (l->count > 0)
        made = made && set(tree, "p50", json_real(quantile(l, 0.5))) &&
               set(tree, "p95", json_real(quantile(l, 0.95))) &&
               set(tree, "p99", json_real(quantile(l, 0.99)));
    if (counts)
        made = made && set(tree, "counts", counts_tree(l));
    return made ? TAKE(tree) : NULL;
}

static json_t *latencies_tree(const struct stats_totals *t, bool counts)
{
    CLEANUP(json_drop) json_t *tree = json_object();
    for (size_t i = 0; i < t->n_latencies; i++)
        if (!set(tree, t->latencies[i].name, latency_tree(&t->latencies[i], counts)))
            return NULL;
    return TAKE(tree);
}

static json_t *errors_tree(const struct stats_totals *t)
{
    CLEANUP(json_drop) json_t *tree = json_object();
    for (size_t i = 0; i < t->n_errors; i++)
        if (t->errors[i] > 0 && !set_count(tree, error_wire_name((enum err)i), t->errors[i]))
            return NULL;
    return TAKE(tree);
}

static json_t *totals_tree(const struct stats_totals *t, bool counts)
{
    CLEANUP(json_drop)
    json_t *tree =
        json_pack("{sI sI sI sI sI sI sI sI}", "requests", (json_int_t)t->requests, "done",
                  (json_int_t)t->done, "failed", (json_int_t)t->failed, "abandoned",
                  (json_int_t)t->abandoned, "refused", (json_int_t)t->refused, "prompt_tokens",
                  (json_int_t)t->prompt_tokens, "completion_tokens",
                  (json_int_t)t->completion_tokens, "cached_tokens", (json_int_t)t->cached_tokens);
    bool made = tree && set(tree, "errors", errors_tree(t)) &&
                set(tree, "latencies", latencies_tree(t, counts));
    return made ? TAKE(tree) : NULL;
}

/* --- who and what ----------------------------------------------------------- */

static bool set_capabilities(json_t *tree, const struct capabilities *c)
{
    return set_text(tree, "model", c->model) && set_text(tree, "accelerator", c->accelerator) &&
           set_text(tree, "device", c->device) && set_text(tree, "cpu_variant", c->cpu_variant) &&
           set_text(tree, "sandbox", c->sandbox) && set_number(tree, "threads", c->threads) &&
           set_number(tree, "batch_threads", c->batch_threads) &&
           set(tree, "gpu_layers", json_integer(c->gpu_layers)) &&
           set_number(tree, "n_ctx", c->n_ctx);
}

/* Left out by those that keep no context. */
static bool set_usage(json_t *tree, const struct usage *u)
{
    if (u->context_size == 0)
        return true;
    json_t *context =
        json_pack("{sI sI sI sI}", "used", (json_int_t)u->context_used, "size",
                  (json_int_t)u->context_size, "prompt_tokens", (json_int_t)u->prompt_tokens,
                  "cached_tokens", (json_int_t)u->cached_tokens);
    return set(tree, "context", context); /* taken, on failure too */
}

static json_t *backend_tree(const struct stats_backend *b)
{
    CLEANUP(json_drop)
    json_t *tree = json_pack("{ss ss ss sI sI sI}", "name", b->name, "kind", b->kind, "state",
                             b->state, "slots", (json_int_t)b->slots, "running",
                             (json_int_t)b->running, "deaths", (json_int_t)b->deaths);
    bool made = tree && set_text(tree, "why", b->why) && set_text(tree, "sha256", b->sha256) &&
                set_text(tree, "breaker", b->breaker) &&
                set_number(tree, "pid", (uint64_t)b->pid) &&
                (!b->capabilities || set_capabilities(tree, b->capabilities)) &&
                set_usage(tree, &b->usage) &&
                (!b->booked || set(tree, "totals", totals_tree(&b->totals, true)));
    return made ? TAKE(tree) : NULL;
}

static json_t *caller_tree(const struct stats_caller *c)
{
    CLEANUP(json_drop)
    json_t *tree = json_pack("{sI sI sI sI sI}", "number", (json_int_t)c->number, "uid",
                             (json_int_t)c->uid, "connections", (json_int_t)c->connections,
                             "waiting", (json_int_t)c->waiting, "running", (json_int_t)c->running);
    bool made = tree && set_text(tree, "executable", c->executable) &&
                set(tree, "totals", totals_tree(&c->totals, false));
    return made ? TAKE(tree) : NULL;
}

static json_t *request_tree(const struct stats_request *r)
{
    CLEANUP(json_drop)
    json_t *tree =
        json_pack("{sI ss sI sI sf}", "serial", (json_int_t)r->serial, "state", r->state, "uid",
                  (json_int_t)r->uid, "pid", (json_int_t)r->pid, "age_ms", r->age_ms);
    bool made = tree && set_text(tree, "backend", r->backend) &&
                set_text(tree, "surface", r->surface) &&
                set_text(tree, "executable", r->executable);
    return made ? TAKE(tree) : NULL;
}

/* A list of `n` things, each made into a tree by `make`. */
#define LIST_TREE(make, things, n)                                                                 \
    __extension__({                                                                                \
        json_t *list_ = json_array();                                                              \
        for (size_t i_ = 0; list_ && i_ < (n); i_++) {                                             \
            if (json_array_append_new(list_, make(&(things)[i_])) < 0) {                           \
                json_decref(list_);                                                                \
                list_ = NULL;                                                                      \
            }                                                                                      \
        }                                                                                          \
        list_;                                                                                     \
    })

static json_t *log_tree(const struct stats *s)
{
    return json_pack("{sb sI}", "works", s->log_works, "lost", (json_int_t)s->log_lost);
}

/* Left out while there are none. */
static bool set_others(json_t *tree, const struct stats_totals *t)
{
    return t->requests == 0 || set(tree, "other_callers", totals_tree(t, false));
}

static json_t *stats_tree(const struct stats *s)
{
    CLEANUP(json_drop)
    json_t *tree = json_pack("{ss ss ss sb ss ss sf sI sI}", "id", "admin", "type", "reply", "op",
                             "stats", "ok", 1, "version", s->version, "state", s->state,
                             "uptime_seconds", s->uptime_seconds, "queue_depth",
                             (json_int_t)s->queue_depth, "waiting", (json_int_t)s->waiting);
    bool made = tree && set(tree, "bounds", bounds_tree(&s->totals)) &&
                set(tree, "totals", totals_tree(&s->totals, true)) &&
                set(tree, "log", log_tree(s)) && set_others(tree, &s->other_callers) &&
                set(tree, "backends", LIST_TREE(backend_tree, s->backends, s->n_backends)) &&
                set(tree, "callers", LIST_TREE(caller_tree, s->callers, s->n_callers)) &&
                set(tree, "requests", LIST_TREE(request_tree, s->requests, s->n_requests));
    return made ? TAKE(tree) : NULL;
}

enum err stats_put(struct buf *out, const struct stats *stats)
{
    CLEANUP(json_drop) json_t *tree = stats_tree(stats);
    return tree ? admin_put_line(out, tree) : ERR_NO_MEMORY;
}
