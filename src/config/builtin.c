/*
 * builtin.c - the model that ships with inferd.
 *
 * It serves when nobody named a model, and then only: a configured model that fails is
 * never replaced by it.  Its file lies beside the programs, in the build tree as in an
 * installation, and its digest is part of the daemon: another file is not loaded.
 */
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "config/config.h"

enum { CONTEXT = 1024 }; /* all that it was trained for */

static enum err find_model(char **ret, struct error *error)
{
    char here[PATH_MAX];
    enum err e = program_directory(here, sizeof here, error);
    if (e)
        return e;
    char *path;
    if (asprintf(&path, "%s/../share/inferd/inferd-tiny.gguf", here) < 0)
        return fail_nomem(error);
    if (access(path, R_OK) < 0) {
        e = fail_sys(error,
                     "refusing to start: no usable inference backend. Neither --backend nor "
                     "--config names one, and the built-in model '%s' cannot be read",
                     path);
        free(path);
        return e;
    }
    *ret = path;
    return OK;
}

enum err config_add_builtin(struct config *config, int64_t n_ctx, struct error *error)
{
    CLEANUP(free_ptr) char *path = NULL;
    enum err e = find_model(&path, error);
    if (e)
        return e;
    CLEANUP(json_drop)
    json_t *entry = json_pack("{ss ss ss ss sI}", "kind", "llamacpp", "name", BUILTIN_BACKEND,
                              "path", path, "sha256", INFERD_BUILTIN_SHA256, "n_ctx",
                              (json_int_t)(n_ctx >= 0 ? n_ctx : CONTEXT));
    if (!entry)
        return fail_nomem(error);
    config->builtin = true;
    return config_add_backend(config, entry, "the built-in model", error);
}
