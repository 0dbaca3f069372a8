/*
 * plan.c - see plan.h.
 */
#include "daemon/plan.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"

/* Engines lie beside the daemon or where they are installed, never in PATH. */
static enum err find_program(const char *name, char **ret, struct error *error)
{
    static const char *const places[] = { "", "/../libexec/inferd" };
    char here[PATH_MAX];
    enum err e = program_directory(here, sizeof here, error);
    if (e)
        return e;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        char *path;
        if (asprintf(&path, "%s%s/%s", here, places[i], name) < 0)
            return fail_nomem(error);
        if (access(path, X_OK) == 0) {
            *ret = path;
            return OK;
        }
        free(path);
    }
    return fail(error, ERR_CONFIG, "the program %s is not beside the daemon in %.256s", name, here);
}

/* Where engines may remember what they found out about this machine; without one
 * they find out again. */
static char *make_cache_dir(void)
{
    const char *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    char *path = NULL;
    int n = -1;
    if (xdg && xdg[0] == '/')
        n = asprintf(&path, "%s/inferd", xdg);
    else if (home && home[0] == '/')
        n = asprintf(&path, "%s/.cache/inferd", home);
    if (n < 0)
        return NULL;
    if (make_directories(path, NULL)) {
        free(path);
        return NULL;
    }
    return path;
}

enum err plan_init(struct plan *plan, const struct config *config, struct error *error)
{
    size_t n = config->n_backends;
    *plan = (struct plan){ .config = config, .n = n };
    plan->setups = calloc(n, sizeof *plan->setups);
    plan->programs = calloc(n, sizeof *plan->programs);
    plan->places = calloc(n, sizeof *plan->places);
    if (!plan->setups || !plan->programs || !plan->places)
        return fail_nomem(error);
    /* An installation without the fetcher is one that shall never download. */
    enum err e = find_program("inferd-fetch", &plan->fetcher, NULL);
    return e == ERR_NO_MEMORY ? fail_nomem(error) : OK;
}

static enum err find_engine(struct plan *plan, size_t i, struct error *error)
{
    const struct backend_config *b = &plan->config->backends[i];
    struct error why;
    enum err e = find_program(b->kind->program, &plan->programs[i], &why);
    if (e)
        return fail(error, e, "this build has no engine for kind \"%s\" of backend '%.80s': %s",
                    b->kind->name, b->name, why.message);
    return OK;
}

enum err plan_backend(struct plan *plan, size_t i, struct error *error)
{
    const struct backend_config *b = &plan->config->backends[i];
    struct place *place = &plan->places[i];
    enum err e = find_engine(plan, i, error);
    if (!e && b->kind->has_model)
        e = place_find(place, plan->config, b, plan->fetcher, error);
    if (e)
        return e;
    plan->setups[i] = (struct backend_setup){
        .kind = b->kind->name,
        .idle_unload_secs = b->idle_unload_secs,
        .preparation = { place->argv, place_passed_on },
        .engine = {
            .name = b->name,
            .program = plan->programs[i],
            .slots = b->slots,
            .options = b->options,
            .model_path = place->path,
            .model_sha256 = b->sha256,
            .cache_dir = plan->cache_dir,
            .ready_timeout_ms = (int64_t)plan->config->ready_timeout_secs * 1000,
            .memory_limit = (uint64_t)b->memory_limit_mib * 1024 * 1024,
        },
    };
    return OK;
}

enum err plan_make(struct plan *plan, const struct config *config, struct error *error)
{
    enum err e = plan_init(plan, config, error);
    plan->cache_dir = make_cache_dir();
    for (size_t i = 0; !e && i < plan->n; i++)
        e = plan_backend(plan, i, error);
    return e;
}

void plan_done(struct plan *plan)
{
    for (size_t i = 0; plan->programs && i < plan->n; i++)
        free(plan->programs[i]);
    for (size_t i = 0; plan->places && i < plan->n; i++)
        place_done(&plan->places[i]);
    free(plan->programs);
    free(plan->places);
    free(plan->fetcher);
    free(plan->setups);
    free(plan->cache_dir);
    *plan = (struct plan){ 0 };
}
