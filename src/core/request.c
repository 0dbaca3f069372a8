/*
 * request.c - the one place where a request changes its state.
 */
#include "core/request.h"

#include <string.h>

#include "base/clock.h"
#include "core/core.h"

/* Which states each may become, one bit each. */
static const unsigned next_states[] = {
#define TO(s)         (1u << REQUEST_##s)
#define X(name, next) [REQUEST_##name] = (next),
    REQUEST_STATES(X)
#undef X
#undef TO
};

struct request *request_new(const struct submission *s)
{
    struct request *r = calloc(1, sizeof *r);
    char *id = strdup(s->origin.client_id ? s->origin.client_id : "");
    if (!r || !id) {
        free(s->order);
        free(id);
        free(r);
        return NULL;
    }
    r->serial = s->serial;
    r->order = s->order;
    r->order_len = s->order_len;
    r->needs = s->needs;
    r->later = s->later;
    r->print = s->print;
    r->sink = s->sink;
    r->origin = s->origin;
    r->origin.client_id = id;
    caller_hold(r->origin.caller);
    r->submitted_us = clock_us();
    return r;
}

void request_free(struct callers *callers, struct request *r)
{
    assert(!r->list);
    caller_drop(callers, r->origin.caller);
    free(r->order);
    free((char *)r->origin.client_id);
    free(r);
}

void gaps_add(struct gaps *gaps, int64_t us)
{
    static const double bounds[GAP_BOUNDS] = { GAP_BOUNDS_LIST };
    double seconds = (double)us / 1e6;
    size_t bucket = 0;
    while (bucket < GAP_BOUNDS && seconds > bounds[bucket])
        bucket++;
    gaps->counts[bucket]++;
    gaps->n++;
    gaps->sum_us += us;
    if (us > gaps->longest_us)
        gaps->longest_us = us;
}

void request_note_text(struct request *r)
{
    int64_t now = clock_us();
    if (r->first_text_us) {
        gaps_add(&r->gaps, now - r->last_text_us);
    } else {
        r->first_text_us = now;
    }
    r->last_text_us = now;
}

struct report request_report(const struct request *r, enum report_end end, enum err error,
                             const struct outcome *outcome)
{
    int64_t now = clock_us();
    struct report report = {
        .end = end,
        .error = error,
        .serial = r->serial,
        .origin = r->origin,
        .backend = r->backend ? r->backend->name : NULL,
        .kind = r->backend ? r->backend->kind : NULL,
        .queue_us = (r->started_us ? r->started_us : now) - r->submitted_us,
        .first_text_us = r->first_text_us ? r->first_text_us - r->submitted_us : -1,
        .total_us = now - r->submitted_us,
        .gaps = r->gaps,
    };
    if (outcome) {
        report.stop = outcome->stop;
        report.prompt_tokens = outcome->prompt_tokens;
        report.completion_tokens = outcome->completion_tokens;
        report.cached_tokens = outcome->cached_tokens;
    }
    return report;
}

/* What is true of a request in each state; see request.h. */
static void check(const struct request *r)
{
    switch (r->state) {
    case REQUEST_NEW:
    case REQUEST_DONE:
        assert(!r->list);
        break;
    case REQUEST_WAITING:
        assert(r->list && r->order && !r->backend);
        break;
    case REQUEST_RUNNING:
        assert(r->list && !r->order && r->backend);
        break;
    case REQUEST_CANCELLING:
        assert(r->list && r->backend && !r->sink);
        break;
    }
    assert(link_listed(&r->link) == (r->list != NULL));
    assert(link_listed(&r->turn) == (r->state == REQUEST_WAITING));
}

static size_t is_with_engine(enum request_state state)
{
    return state == REQUEST_RUNNING || state == REQUEST_CANCELLING;
}

void request_move(struct request *r, enum request_state state, struct list *list)
{
    assert(next_states[r->state] & (1u << state));

    if (r->list != list) {
        if (r->list)
            list_remove(r->list, &r->link);
        if (list)
            list_append(list, &r->link);
        r->list = list;
    }
    r->origin.caller->running += is_with_engine(state) - is_with_engine(r->state);
    r->state = state;
    check(r);
}
