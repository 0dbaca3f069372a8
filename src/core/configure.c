/*
 * configure.c - backends come and go while requests run.
 *
 *     configure --> backends   in the order of their priority; requests are routed to them
 *                       |  changed, unloaded, or no longer configured
 *                       v
 *                   retired    finish what they work on, take nothing more
 *                       |  nothing left
 *                       v
 *                    (freed)   and only then one of the same name is started
 *
 * So a changed backend is never in memory twice, and what it was working on ends well.
 * A backend whose setup is as it was is not touched: its process goes on.
 *
 * Retired backends are freed from a timer: they come to their end deep inside of news that
 * their own engine tells.
 */
#include <string.h>

#include "core/core.h"

/* --- one backend ------------------------------------------------------------ */

static void backend_free(struct backend *b)
{
    if (b->job)
        job_orphan(b->job);
    engine_free(b->engine);
    backend_setup_done(&b->setup);
    free(b);
}

static enum err backend_new(struct core *core, const struct backend_setup *setup,
                            struct backend **ret, struct error *error)
{
    struct backend *b = calloc(1, sizeof *b);
    if (!b || backend_setup_copy(&b->setup, setup)) {
        free(b);
        return fail_nomem(error);
    }
    b->core = core;
    b->name = b->setup.engine.name;
    b->kind = b->setup.kind;
    b->slots = b->setup.engine.slots;
    b->preparation = b->setup.preparation;
    list_init(&b->running);
    enum err e = engine_new(core->io, &b->setup.engine, core_engine_ops, b, &b->engine, error);
    if (e) {
        backend_free(b);
        return e;
    }
    *ret = b;
    return OK;
}

struct backend *core_find_backend(const struct core *core, const char *name)
{
    LIST_EACH(struct backend, b, &core->backends, link)
        if (strcmp(b->name, name) == 0)
            return b;
    return NULL;
}

/* --- retiring --------------------------------------------------------------- */

static void on_reap(uv_timer_t *timer)
{
    struct core *core = timer->data;
    LIST_EACH(struct backend, b, &core->retired, link) {
        if (b->running.len > 0)
            continue;
        list_remove(&core->retired, &b->link);
        backend_free(b);
    }
    core_prepare(core);
}

void core_retire_idle(struct core *core)
{
    LIST_EACH(struct backend, b, &core->retired, link)
        if (b->running.len == 0)
            uv_timer_start(&core->reaper, on_reap, 0, 0);
}

static void retire(struct core *core, struct backend *b)
{
    list_remove(&core->backends, &b->link);
    list_append(&core->retired, &b->link);
    b->retired = true;
    if (b->job)
        job_orphan(TAKE(b->job));
}

bool core_is_retiring(const struct core *core, const char *name)
{
    LIST_EACH(struct backend, b, &core->retired, link)
        if (strcmp(b->name, name) == 0)
            return true;
    return false;
}

/* --- configuring ------------------------------------------------------------ */

/* Can `b` go on as it is?  How its model came to be there does not matter any more once it
 * is.  One that has failed gets another chance. */
static bool is_as_wanted(const struct backend *b, const struct backend_setup *wanted)
{
    return backend_state(b) != ENGINE_FAILED && backend_setup_same_engine(&b->setup, wanted) &&
           (b->prepared == PREPARE_DONE || backend_setup_same_preparation(&b->setup, wanted));
}

static void free_all(struct list *backends)
{
    struct link *first;
    while ((first = list_first(backends))) {
        list_remove(backends, first);
        backend_free(CONTAINER_OF(first, struct backend, link));
    }
}

/* New backends for those setups that none of the present ones has. */
static enum err make_missing(struct core *core, const struct backend_setup *setups, size_t n,
                             struct list *made, struct error *error)
{
    for (size_t i = 0; i < n; i++) {
        struct backend *b = core_find_backend(core, setups[i].engine.name);
        if (b && is_as_wanted(b, &setups[i]))
            continue;
        const struct backend *before = b;
        enum err e = backend_new(core, &setups[i], &b, error);
        if (e)
            return e;
        if (before)
            engine_inherit(b->engine, before->engine);
        list_append(made, &b->link);
    }
    return OK;
}

/* To the end of `wanted`: the backend for this setup, from among the present or the new. */
static void choose(struct core *core, const struct backend_setup *setup, struct list *made,
                   struct list *wanted)
{
    struct list *const lists[] = { made, &core->backends };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        LIST_EACH(struct backend, b, lists[i], link) {
            if (strcmp(b->name, setup->engine.name) != 0)
                continue;
            list_remove(lists[i], &b->link);
            list_append(wanted, &b->link);
            b->setup.idle_unload_secs = setup->idle_unload_secs;
            return;
        }
    }
}

static void move_all(struct list *from, struct list *to)
{
    struct link *first;
    while ((first = list_first(from))) {
        list_remove(from, first);
        list_append(to, first);
    }
}

enum err core_configure(struct core *core, const struct backend_setup *setups, size_t n,
                        size_t queue_depth, struct changes *ret, struct error *error)
{
    struct list made, wanted;
    list_init(&made);
    list_init(&wanted);
    enum err e = make_missing(core, setups, n, &made, error);
    if (e) {
        free_all(&made);
        return e;
    }
    struct changes changes = { .started = made.len, .kept = n - made.len };
    for (size_t i = 0; i < n; i++)
        choose(core, &setups[i], &made, &wanted);
    changes.ended = core->backends.len;
    LIST_EACH(struct backend, b, &core->backends, link)
        retire(core, b);
    move_all(&wanted, &core->backends);
    core->queue_depth = queue_depth;
    if (ret)
        *ret = changes;
    core_retire_idle(core);
    return OK;
}

/* --- one at a time ---------------------------------------------------------- */

enum err core_unload(struct core *core, const char *name, struct error *error)
{
    struct backend *old = core_find_backend(core, name), *b;
    if (!old)
        return fail(error, ERR_NOT_FOUND, "there is no backend '%.80s'", name);
    if (old->prepared == PREPARE_UNLOADED)
        return OK;
    enum err e = backend_new(core, &old->setup, &b, error);
    if (e)
        return e;
    b->prepared = PREPARE_UNLOADED;
    b->able = old->able;
    b->deaths = old->deaths;
    /* Whoever starts one that has failed has done something about it. */
    if (backend_state(old) != ENGINE_FAILED)
        b->breaker = breaker_inherit(&old->breaker);
    engine_inherit(b->engine, old->engine);
    list_insert_before(&core->backends, &old->link, &b->link);
    retire(core, old);
    core_retire_idle(core);
    core->ops->backend_changed(core->owner, b);
    core_pump(core);
    return OK;
}

static void load(struct backend *b)
{
    b->prepared = PREPARE_WAITING;
    core_prepare(b->core);
}

enum err core_load(struct core *core, const char *name, struct error *error)
{
    struct backend *b = core_find_backend(core, name);
    if (!b)
        return fail(error, ERR_NOT_FOUND, "there is no backend '%.80s'", name);
    if (backend_state(b) == ENGINE_FAILED) {
        enum err e = core_unload(core, name, error);
        if (e)
            return e;
        b = core_find_backend(core, name);
    }
    if (b->prepared == PREPARE_UNLOADED)
        load(b);
    return OK;
}

bool core_load_on_demand(struct core *core, unsigned needs)
{
    struct backend *unloaded = NULL;
    LIST_EACH(struct backend, b, &core->backends, link) {
        if (!core_will_serve(b, needs))
            continue;
        if (b->prepared != PREPARE_UNLOADED)
            return false;
        if (!unloaded)
            unloaded = b;
    }
    if (unloaded)
        load(unloaded);
    return unloaded != NULL;
}

/* --- the end ---------------------------------------------------------------- */

void core_free_backends(struct core *core)
{
    free_all(&core->backends);
    free_all(&core->retired);
    uv_timer_t *const timers[] = { &core->reaper, &core->idle };
    for (size_t i = 0; i < ARRAY_LEN(timers); i++)
        if (!uv_is_closing((uv_handle_t *)timers[i]))
            uv_close((uv_handle_t *)timers[i], NULL);
}
