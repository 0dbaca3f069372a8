/*
 * stats.c - see stats.h.
 *
 * Many callers times many buckets is more than anybody reads: a caller's latencies are told
 * as quantiles only, those of backends and of the daemon with how many there were in each
 * bucket.  What is left may still be a megabyte of numbers, and the loop has 10 ms for it: so
 * it is written straight into the buffer, member by member in alphabetical order, and not by
 * way of a tree.
 */
#include "wire/stats.h"

#include <string.h>

#include "wire/pen.h"

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

static void put_latency(struct pen *p, const struct stats_latency *l, bool counts)
{
    pen_open(p, l->name, "{");
    pen_count(p, "count", l->count);
    if (counts) {
        pen_open(p, "counts", "[");
        for (size_t i = 0; i <= l->n_bounds; i++)
            pen_count(p, NULL, l->counts[i]);
        pen_close(p, "]");
    }
    if (l->count > 0) {
        pen_fraction(p, "p50", quantile(l, 0.5));
        pen_fraction(p, "p95", quantile(l, 0.95));
        pen_fraction(p, "p99", quantile(l, 0.99));
    }
    pen_fraction(p, "sum", l->sum);
    pen_close(p, "}");
}

/* The places of the latencies in the order of their names. */
static void sort_latencies(const struct stats_totals *t, size_t places[STATS_LATENCIES_MAX])
{
    for (size_t i = 0; i < t->n_latencies; i++) {
        size_t at = i;
        for (; at > 0 && strcmp(t->latencies[places[at - 1]].name, t->latencies[i].name) > 0; at--)
            places[at] = places[at - 1];
        places[at] = i;
    }
}

/* The bounds of the buckets, which are the same for everybody. */
static void put_bounds(struct pen *p, const struct stats_totals *t)
{
    size_t places[STATS_LATENCIES_MAX];
    sort_latencies(t, places);
    pen_open(p, "bounds", "{");
    for (size_t i = 0; i < t->n_latencies; i++) {
        const struct stats_latency *l = &t->latencies[places[i]];
        pen_open(p, l->name, "[");
        for (size_t j = 0; j < l->n_bounds; j++)
            pen_fraction(p, NULL, l->bounds[j]);
        pen_close(p, "]");
    }
    pen_close(p, "}");
}

/* In the order of their names.  There are few: the next one is looked for each time. */
static void put_errors(struct pen *p, const struct stats_totals *t)
{
    const char *last = "";
    pen_open(p, "errors", "{");
    for (;;) {
        size_t next = t->n_errors;
        for (size_t i = 0; i < t->n_errors; i++)
            if (t->errors[i] > 0 && strcmp(error_wire_name((enum err)i), last) > 0 &&
                (next == t->n_errors ||
                 strcmp(error_wire_name((enum err)i), error_wire_name((enum err)next)) < 0))
                next = i;
        if (next == t->n_errors)
            break;
        last = error_wire_name((enum err)next);
        pen_count(p, last, t->errors[next]);
    }
    pen_close(p, "}");
}

static void put_totals(struct pen *p, const char *name, const struct stats_totals *t, bool counts)
{
    size_t places[STATS_LATENCIES_MAX];
    sort_latencies(t, places);
    pen_open(p, name, "{");
    pen_count(p, "abandoned", t->abandoned);
    pen_count(p, "cached_tokens", t->cached_tokens);
    pen_count(p, "completion_tokens", t->completion_tokens);
    pen_count(p, "done", t->done);
    put_errors(p, t);
    pen_count(p, "failed", t->failed);
    pen_open(p, "latencies", "{");
    for (size_t i = 0; i < t->n_latencies; i++)
        put_latency(p, &t->latencies[places[i]], counts);
    pen_close(p, "}");
    pen_count(p, "prompt_tokens", t->prompt_tokens);
    pen_count(p, "refused", t->refused);
    pen_count(p, "requests", t->requests);
    pen_close(p, "}");
}

/* --- who and what ----------------------------------------------------------- */

/* Left out by those that keep no context. */
static void put_usage(struct pen *p, const struct usage *u)
{
    if (u->context_size == 0)
        return;
    pen_open(p, "context", "{");
    pen_count(p, "cached_tokens", u->cached_tokens);
    pen_count(p, "prefix_cache_bytes", u->prefix_cache_bytes);
    pen_count(p, "prefix_cache_max", u->prefix_cache_max);
    pen_count(p, "prompt_tokens", u->prompt_tokens);
    pen_count(p, "size", u->context_size);
    pen_count(p, "used", u->context_used);
    pen_close(p, "}");
}

static void put_backend(struct pen *p, const struct stats_backend *b)
{
    static const struct capabilities none;
    const struct capabilities *c = b->capabilities ? b->capabilities : &none;
    pen_open(p, NULL, "{");
    pen_text(p, "accelerator", c->accelerator);
    pen_number(p, "batch_threads", c->batch_threads);
    pen_text(p, "breaker", b->breaker);
    put_usage(p, &b->usage);
    pen_text(p, "cpu_variant", c->cpu_variant);
    pen_count(p, "deaths", b->deaths);
    pen_text(p, "device", c->device);
    if (b->capabilities)
        pen_integer(p, "gpu_layers", c->gpu_layers);
    pen_text(p, "kind", b->kind);
    pen_text(p, "kv", c->kv);
    pen_text(p, "model", c->model);
    pen_number(p, "n_ctx", c->n_ctx);
    pen_text(p, "name", b->name);
    pen_number(p, "pid", (uint64_t)b->pid);
    pen_text(p, "prefixes", c->prefixes);
    pen_count(p, "running", b->running);
    pen_text(p, "sandbox", c->sandbox);
    pen_text(p, "sha256", b->sha256);
    pen_count(p, "slots", b->slots);
    pen_text(p, "state", b->state);
    pen_number(p, "threads", c->threads);
    if (b->booked)
        put_totals(p, "totals", &b->totals, true);
    pen_text(p, "why", b->why);
    pen_close(p, "}");
}

static void put_caller(struct pen *p, const struct stats_caller *c)
{
    pen_open(p, NULL, "{");
    pen_count(p, "connections", c->connections);
    pen_text(p, "executable", c->executable);
    pen_count(p, "number", c->number);
    pen_count(p, "running", c->running);
    put_totals(p, "totals", &c->totals, false);
    pen_integer(p, "uid", c->uid);
    pen_count(p, "waiting", c->waiting);
    pen_close(p, "}");
}

static void put_request(struct pen *p, const struct stats_request *r)
{
    pen_open(p, NULL, "{");
    pen_fraction(p, "age_ms", r->age_ms);
    pen_text(p, "backend", r->backend);
    pen_text(p, "executable", r->executable);
    pen_integer(p, "pid", r->pid);
    pen_count(p, "serial", r->serial);
    pen_text(p, "state", r->state);
    pen_text(p, "surface", r->surface);
    pen_integer(p, "uid", r->uid);
    pen_close(p, "}");
}

static void put_log(struct pen *p, const struct stats *s)
{
    pen_open(p, "log", "{");
    pen_count(p, "lost", s->log_lost);
    pen_boolean(p, "works", s->log_works);
    pen_close(p, "}");
}

/* A list of `n` things, each written by `put_one`. */
#define PUT_LIST(p, name, put_one, things, n)                                                      \
    do {                                                                                           \
        pen_open(p, name, "[");                                                                    \
        for (size_t i_ = 0; i_ < (n); i_++)                                                        \
            put_one(p, &(things)[i_]);                                                             \
        pen_close(p, "]");                                                                         \
    } while (0)

static void put_stats(struct pen *p, const struct stats *s)
{
    pen_open(p, NULL, "{");
    PUT_LIST(p, "backends", put_backend, s->backends, s->n_backends);
    put_bounds(p, &s->totals);
    PUT_LIST(p, "callers", put_caller, s->callers, s->n_callers);
    pen_text(p, "id", "admin");
    put_log(p, s);
    pen_boolean(p, "ok", true);
    pen_text(p, "op", "stats");
    if (s->other_callers.requests > 0)
        put_totals(p, "other_callers", &s->other_callers, false);
    pen_count(p, "queue_depth", s->queue_depth);
    PUT_LIST(p, "requests", put_request, s->requests, s->n_requests);
    pen_text(p, "state", s->state);
    pen_count(p, "suspects", s->suspects);
    pen_count(p, "suspects_refused", s->refused);
    put_totals(p, "totals", &s->totals, true);
    pen_text(p, "type", "reply");
    pen_fraction(p, "uptime_seconds", s->uptime_seconds);
    pen_text(p, "version", s->version);
    pen_count(p, "waiting", s->waiting);
    pen_close(p, "}");
}

enum err stats_put(struct buf *out, const struct stats *stats)
{
    size_t before = out->len;
    struct pen p = { .out = out, .first = true };
    put_stats(&p, stats);
    pen_end_line(&p);
    if (p.failed)
        out->len = before; /* a frame is there whole or not at all */
    return p.failed;
}
