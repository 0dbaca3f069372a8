/*
 * config.c - flags, file and defaults, put together.
 */
#include "config/config.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum {
    ACTIVE_PERMITS = 1,
    QUEUE_DEPTH = 10,
    READY_TIMEOUT_SECS = 30,
    DRAIN_TIMEOUT_SECS = 8,
};

static enum err set_path(char **ret, const char *given, const char *dir, const char *name,
                         struct error *error)
{
    int n = given ? asprintf(ret, "%s", given) : asprintf(ret, "%s/%s", dir, name);
    if (n < 0) {
        *ret = NULL;
        return fail_nomem(error);
    }
    if ((*ret)[0] != '/')
        return fail(error, ERR_CONFIG, "'%.80s' must be an absolute path", *ret);
    return OK;
}

/* Where sockets lie: every program on the machine looks in the same places. */
static enum err default_runtime_dir(char **ret, struct error *error)
{
    const char *xdg = getenv("XDG_RUNTIME_DIR");
    const char *home = getenv("HOME");
    int n;
    if (xdg && xdg[0])
        n = asprintf(ret, "%s/inferd", xdg);
    else if (home && home[0])
        n = asprintf(ret, "%s/.inferd/run", home);
    else
        n = asprintf(ret, "/tmp/inferd-%u", (unsigned)geteuid());
    if (n < 0) {
        *ret = NULL;
        return fail_nomem(error);
    }
    return OK;
}

static enum err set_paths(const struct flags *flags, struct config *c, struct error *error)
{
    enum err e = flags->runtime_dir
                     ? set_path(&c->runtime_dir, flags->runtime_dir, NULL, NULL, error)
                     : default_runtime_dir(&c->runtime_dir, error);
    if (!e)
        e = set_path(&c->lock_path, flags->lock, c->runtime_dir, "inferd.lock", error);
    if (!e)
        e = set_path(&c->infer_path, flags->uds, c->runtime_dir, "infer.sock", error);
    if (!e)
        e = set_path(&c->admin_path, flags->admin_addr, c->runtime_dir, "admin.sock", error);
    if (!e && flags->group && !(c->group = strdup(flags->group)))
        e = fail_nomem(error);
    return e;
}

/* The one backend that --backend asks for, as if a file said so.  On a command line a
 * path may be relative and a digest in capitals. */
static enum err backend_from_flags(const struct flags *flags, struct config *c, struct error *error)
{
    const struct backend_kind *kind = backend_kind_find(flags->backend);
    if (kind && kind->has_model && (!flags->model_path || !flags->model_sha256))
        return fail(error, ERR_INVALID_REQUEST,
                    "--backend %s needs --model-path and --model-sha256", flags->backend);
    CLEANUP(free_ptr) char *path = flags->model_path ? realpath(flags->model_path, NULL) : NULL;
    CLEANUP(free_ptr) char *sha256 = flags->model_sha256 ? strdup(flags->model_sha256) : NULL;
    for (char *p = sha256; p && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    CLEANUP(json_drop)
    json_t *entry = json_pack("{ss ss ss* ss*}", "kind", flags->backend, "name", flags->backend,
                              "path", path ? path : flags->model_path, "sha256", sha256);
    if (!entry)
        return fail(error, ERR_CONFIG, "--backend, --model-path and --model-sha256 must be UTF-8");
    if (flags->n_ctx >= 0 && json_object_set_new(entry, "n_ctx", json_integer(flags->n_ctx)) < 0)
        return fail_nomem(error);
    if (flags->n_gpu_layers >= 0 &&
        json_object_set_new(entry, "n_gpu_layers", json_integer(flags->n_gpu_layers)) < 0)
        return fail_nomem(error);
    /* What is wrong with it is wrong on the command line. */
    return config_add_backend(c, entry, "--backend", error) ? ERR_INVALID_REQUEST : OK;
}

static void set_number(uint32_t *at, int64_t given)
{
    if (given >= 0)
        *at = (uint32_t)given; /* the flag's own range has been checked */
}

enum err config_read(int argc, char **argv, struct config *config, enum config_action *ret_action,
                     struct error *error)
{
    struct flags flags;
    *config = (struct config){
        .active_permits = ACTIVE_PERMITS,
        .queue_depth = QUEUE_DEPTH,
        .ready_timeout_secs = READY_TIMEOUT_SECS,
        .drain_timeout_secs = DRAIN_TIMEOUT_SECS,
        .auto_pull = true,
    };
    enum err e = flags_read(argc, argv, &flags, error);
    if (e)
        return e;
    *ret_action = flags.action;
    if (flags.action != CONFIG_RUN)
        return OK;

    e = set_paths(&flags, config, error);
    if (!e && flags.backend)
        e = backend_from_flags(&flags, config, error);
    else if (!e && flags.config)
        e = config_file_read(flags.config, config, error);
    if (e)
        return e;
    if (config->n_backends == 0) {
        e = config_add_builtin(config, flags.n_ctx, error);
        if (e)
            return e;
    }

    set_number(&config->active_permits, flags.active_permits);
    set_number(&config->queue_depth, flags.queue_depth);
    set_number(&config->ready_timeout_secs, flags.ready_timeout_secs);
    set_number(&config->drain_timeout_secs, flags.drain_timeout_secs);
    for (size_t i = 0; i < config->n_backends; i++)
        if (config->backends[i].slots == 0)
            config->backends[i].slots = config->active_permits;
    return OK;
}
