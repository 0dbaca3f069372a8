/*
 * check.c - `--check-config`: what would be started, in words, without starting it.
 */
#include "daemon/check.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/plan.h"

static void print_socket(const char *name, const char *path)
{
    printf("  %-10s %s\n", name, path ? path : "off");
}

static void print_sockets(const struct config *c)
{
    printf("sockets\n");
    print_socket("admin", c->admin_path);
    print_socket("generate", c->infer_path);
    print_socket("tcp", c->tcp);
    if (c->group)
        printf("  for group %s\n", c->group);
}

static void print_seconds(const char *name, uint32_t seconds)
{
    printf("  %-20s %u s\n", name, seconds);
}

static void print_limits(const struct config *c)
{
    printf("limits\n");
    printf("  %-20s %u\n", "queue depth", c->queue_depth);
    printf("  %-20s %u\n", "connections", c->connections_per_caller);
    print_seconds("loading, no progress", c->ready_timeout_secs);
    print_seconds("draining", c->drain_timeout_secs);
    print_seconds("writing, no progress", c->write_timeout_secs);
    print_seconds("half a request", c->read_timeout_secs);
}

static void print_model(const struct backend_config *b, const struct place *place)
{
    /* What stands behind the host may be a secret. */
    const char *host = b->source_url ? b->source_url + strcspn(b->source_url, ":") : "";
    host += strspn(host, ":/");
    if (place->argv)
        printf("  model      \"%s\", to be fetched from %.*s\n", b->model_name,
               (int)strcspn(host, "/?#"), host);
    else if (b->model_name)
        printf("  model      \"%s\", at %s\n", b->model_name, place->path);
    else
        printf("  model      %s\n", place->path);
    printf("  sha256     %s\n", b->sha256);
}

/* What is for the engine alone: the rest has a line of its own. */
static void print_options(const struct backend_config *b)
{
    static const char *const told[] = {
        "kind", "name", "slots", "idle_unload_secs", "model", "path", "memory_limit_mib", "sha256"
    };
    CLEANUP(json_drop) json_t *rest = json_copy(b->options);
    for (size_t i = 0; i < ARRAY_LEN(told); i++)
        json_object_del(rest, told[i]);
    CLEANUP(free_ptr) char *text = rest ? json_dumps(rest, JSON_SORT_KEYS) : NULL;
    if (text && json_object_size(rest) > 0)
        printf("  engine     %s\n", text);
}

/* False if it could not be started, after saying why. */
static bool print_backend(struct plan *plan, size_t i)
{
    const struct backend_config *b = &plan->config->backends[i];
    struct error error;
    enum err e = plan_backend(plan, i, &error);
    if (!e && b->kind->has_model && !plan->places[i].argv && access(plan->places[i].path, R_OK) < 0)
        e = fail_sys(&error, "cannot read the model '%s'", plan->places[i].path);
    printf("backend %zu: %s (%s)\n", i + 1, b->name, b->kind->name);
    printf("  slots      %u\n", b->slots);
    if (b->idle_unload_secs)
        printf("  unloaded   after %u s without work\n", b->idle_unload_secs);
    if (b->memory_limit_mib)
        printf("  memory     at most %u MiB\n", b->memory_limit_mib);
    if (!e && b->kind->has_model)
        print_model(b, &plan->places[i]);
    print_options(b);
    if (e)
        printf("  PROBLEM    %s\n", error.message);
    return !e;
}

bool check_config(const struct config *config)
{
    struct plan plan;
    struct error error;
    bool right = true;
    printf("configuration %s\n", config->file ? config->file : "none: options and defaults");
    if (plan_init(&plan, config, &error)) {
        printf("PROBLEM %s\n", error.message);
        right = false;
    }
    for (size_t i = 0; plan.setups && i < plan.n; i++)
        right = print_backend(&plan, i) && right;
    print_sockets(config);
    print_limits(config);
    printf("%s\n", right ? "It would start." : "It would not start.");
    plan_done(&plan);
    return right;
}
