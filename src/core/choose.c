/*
 * choose.c - who of those that wait runs next, and where.
 *
 *     queue.c says whose turn it is      who goes first
 *     route.c says who takes it          a request that nobody takes now is passed over
 *     poison.c says who runs alone       a suspect whose turn has come holds its backend
 *
 * A suspect has to find its backend empty.  From its turn on nobody else is sent there, else
 * others that come all the time would keep it waiting for ever.
 */
#include "core/core.h"

#include "base/clock.h"

bool backend_has_suspect(const struct backend *b)
{
    const struct link *first = list_first(&b->running);
    return first && CONTAINER_OF(first, struct request, link)->suspect; /* alone */
}

/* Who takes a request now that needs this; NULL: nobody does. */
struct choice {
    struct core *core;
    struct backend *takers[NEED_MASKS];
};

/* False: nobody takes any of those that wait, so they need not be looked at. */
static bool find_takers(struct core *core, struct choice *choice)
{
    bool any = false;
    *choice = (struct choice){ .core = core };
    for (unsigned needs = 0; needs < NEED_MASKS; needs++) {
        struct backend *b = core->queue.needing[needs] ? core_route(core, needs) : NULL;
        choice->takers[needs] = b && !backend_has_suspect(b) ? b : NULL;
        any = any || choice->takers[needs];
    }
    return any;
}

static void keep_free(struct choice *choice, const struct backend *b)
{
    for (unsigned needs = 0; needs < NEED_MASKS; needs++)
        if (choice->takers[needs] == b)
            choice->takers[needs] = NULL;
}

static bool may_start(void *context, const struct request *r)
{
    struct choice *choice = context;
    struct backend *b = choice->takers[r->needs];
    if (!b)
        return false;
    if (b->running.len == 0 ||
        poison_judge(&choice->core->poison, &r->print, clock_ms()) == POISON_NONE)
        return true;
    keep_free(choice, b);
    return false;
}

struct request *core_choose(struct core *core, struct backend **ret)
{
    struct choice choice;
    if (!find_takers(core, &choice))
        return NULL;
    struct request *r = queue_next(&core->queue, may_start, &choice);
    if (r)
        *ret = choice.takers[r->needs];
    return r;
}
