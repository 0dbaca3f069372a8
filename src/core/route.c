/*
 * route.c - which backend serves.
 *
 * The first that is ready, in the order of the configuration.  One that is ready but
 * busy is waited for: the next one may be another model, and which model answers
 * should not depend on the load.
 */
#include "core/core.h"

struct backend *core_route(struct core *core)
{
    LIST_EACH(struct backend, b, &core->backends, link)
        if (backend_state(b) == ENGINE_READY)
            return b->running.len < b->slots ? b : NULL;
    return NULL;
}

bool core_has_hope(const struct core *core)
{
    LIST_EACH(struct backend, b, &core->backends, link) {
        enum engine_state state = backend_state(b);
        if (b->prepared == PREPARE_UNLOADED || (state != ENGINE_FAILED && state != ENGINE_STOPPED))
            return true;
    }
    return false;
}
