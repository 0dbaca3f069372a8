/*
 * request.c - the one place where a request changes its state.
 */
#include "core/request.h"

#include "base/clock.h"

/* Which states each may become, one bit each. */
static const unsigned next_states[] = {
#define TO(s)         (1u << REQUEST_##s)
#define X(name, next) [REQUEST_##name] = (next),
    REQUEST_STATES(X)
#undef X
#undef TO
};

struct request *request_new(uint64_t serial, char *order, size_t len, struct sink *sink)
{
    struct request *r = calloc(1, sizeof *r);
    if (!r) {
        free(order);
        return NULL;
    }
    r->serial = serial;
    r->order = order;
    r->order_len = len;
    r->sink = sink;
    r->submitted_us = clock_us();
    return r;
}

void request_free(struct request *r)
{
    assert(!r->list);
    free(r->order);
    free(r);
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
    r->state = state;
    check(r);
}
