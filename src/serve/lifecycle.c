/*
 * lifecycle.c - see lifecycle.h.
 */
#include "serve/lifecycle.h"

#include <string.h>

#include "base/log.h"

bool lifecycle_ready(const struct core *core)
{
    LIST_EACH(const struct backend, b, &core->backends, link)
        if (backend_state(b) == ENGINE_READY)
            return true;
    return false;
}

static int by_label(const void *a, const void *b)
{
    return strcmp(((const struct admin_backend *)a)->label,
                  ((const struct admin_backend *)b)->label);
}

/* What backends can do that were ever ready, in the order of their labels; NULL without
 * memory. */
static struct admin_backend *list_known(const struct core *core, size_t *ret_n)
{
    struct admin_backend *known = calloc(core->backends.len + 1, sizeof *known);
    size_t n = 0;
    if (!known)
        return NULL;
    LIST_EACH(const struct backend, b, &core->backends, link) {
        const struct capabilities *c = &b->able;
        if (c->slots > 0)
            known[n++] = (struct admin_backend){ b->name, c };
    }
    qsort(known, n, sizeof *known, by_label);
    *ret_n = n;
    return known;
}

static void tell_capabilities(struct admin *a, const struct core *core,
                              const struct backend *changed)
{
    size_t n, at = 0;
    struct admin_backend *known = list_known(core, &n);
    if (!known)
        return;
    while (known[at].label != changed->name)
        at++;
    admin_tell_capabilities(a, known, n, at);
    free(known);
}

void lifecycle_configured(struct admin *a, const struct core *core, bool serving)
{
    size_t n;
    struct admin_backend *known = list_known(core, &n);
    if (known)
        admin_tell_capabilities(a, known, n, n);
    free(known);
    LIST_EACH(const struct backend, b, &core->backends, link)
        if (backend_state(b) != ENGINE_READY)
            lifecycle_backend_changed(a, core, b, serving);
}

void lifecycle_backend_changed(struct admin *a, const struct core *core,
                               const struct backend *changed, bool serving)
{
    enum engine_state state = backend_state(changed);
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

/* --- preparing -------------------------------------------------------------- */

static const char *text(const json_t *tree, const char *key)
{
    const char *s = json_string_value(json_object_get(tree, key));
    return s ? s : "";
}

static double mib(const json_t *tree, const char *key)
{
    return (double)json_integer_value(json_object_get(tree, key)) / (1024 * 1024);
}

static void log_download(const char *name, const json_t *tree)
{
    const char *why = text(tree, "waiting_for");
    double total = mib(tree, "total_bytes");
    if (why[0])
        log_warn("fetching the model of '%s': waiting: %s", name, why);
    else if (total > 0)
        log_info("fetching the model of '%s': %.1f of %.1f MiB", name,
                 mib(tree, "downloaded_bytes"), total);
    else
        log_info("fetching the model of '%s': %.1f MiB", name, mib(tree, "downloaded_bytes"));
}

static void log_preparing(const char *name, const json_t *tree)
{
    const char *phase = text(tree, "phase");
    if (strcmp(phase, "download") == 0)
        log_download(name, tree);
    else if (strcmp(phase, "quarantine") == 0)
        log_error("fetching the model of '%s': what came is not what was configured: SHA-256 %s, "
                  "expected %s; it is kept as '%s'",
                  name, text(tree, "actual_sha256"), text(tree, "expected_sha256"),
                  text(tree, "quarantine_path"));
    else if (text(tree, "adopted")[0])
        log_info("the model of '%s' was found at '%s': %s", name, text(tree, "path"),
                 text(tree, "adopted"));
}

void lifecycle_backend_prepares(struct admin *a, const struct core *core, const struct backend *b,
                                const char *line, size_t len, struct error *why)
{
    CLEANUP(json_drop) json_t *tree = NULL;
    if (json_read(line, len, &tree, NULL) || !json_is_object(tree))
        return;
    if (strcmp(text(tree, "type"), "error") == 0) {
        fail(why, ERR_BACKEND_UNAVAILABLE, "fetch failed for %.128s: %.256s", b->name,
             text(tree, "message"));
        return;
    }
    log_preparing(b->name, tree);
    if (!lifecycle_ready(core))
        admin_tell_foreign(a, tree);
}
