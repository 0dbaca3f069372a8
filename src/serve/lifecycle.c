/*
 * lifecycle.c - see lifecycle.h.
 */
#include "serve/lifecycle.h"

#include <string.h>

bool lifecycle_ready(const struct core *core)
{
    for (size_t i = 0; i < core->n_backends; i++)
        if (engine_state(core->backends[i].engine) == ENGINE_READY)
            return true;
    return false;
}

static int by_label(const void *a, const void *b)
{
    return strcmp(((const struct admin_backend *)a)->label,
                  ((const struct admin_backend *)b)->label);
}

/* Tell what `changed` can do; `backends` are those that were ever ready. */
static void tell_capabilities(struct admin *a, const struct core *core,
                              const struct backend *changed)
{
    struct admin_backend *known = calloc(core->n_backends, sizeof *known);
    if (!known)
        return;
    size_t n = 0;
    for (size_t i = 0; i < core->n_backends; i++) {
        const struct backend *b = &core->backends[i];
        const struct capabilities *c = engine_capabilities(b->engine);
        if (c->slots == 0) /* never ready yet */
            continue;
        known[n++] = (struct admin_backend){ b->name, c };
    }
    qsort(known, n, sizeof *known, by_label);
    size_t at = 0;
    while (known[at].label != changed->name)
        at++;
    admin_tell_capabilities(a, known, n, at);
    free(known);
}

void lifecycle_backend_changed(struct admin *a, const struct core *core,
                               const struct backend *changed, bool serving)
{
    enum engine_state state = engine_state(changed->engine);
    if (state == ENGINE_READY)
        tell_capabilities(a, core, changed);

    if (lifecycle_ready(core)) {
        if (serving)
            admin_tell_status(a, LIFE_READY, NULL);
    } else if (state == ENGINE_STARTING && engine_phase(changed->engine)->path[0]) {
        admin_tell_status(a, LIFE_LOADING_MODEL, engine_phase(changed->engine));
    } else if (!core_has_hope(core)) {
        admin_tell_status(a, LIFE_FAILED, NULL);
    } else if (state == ENGINE_RESTARTING && serving) {
        admin_tell_status(a, LIFE_RESTARTING, NULL);
    }
}
