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
#include "config/source.h"

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

enum err config_add_builtin(struct config *config, const struct flags *flags,
                            struct findings *findings, struct error *error)
{
    CLEANUP(free_ptr) char *path = NULL;
    enum err e = find_model(&path, error);
    if (e)
        return e;
    CLEANUP(json_drop) json_t *entry = json_pack("{si}", "n_ctx", CONTEXT);
    CLEANUP(json_drop)
    json_t *fixed = json_pack("{ss ss ss ss}", "kind", "llamacpp", "name", BUILTIN_BACKEND, "path",
                              path, "sha256", INFERD_BUILTIN_SHA256);
    if (!entry || !fixed || json_object_update(entry, flags_of_kind(flags, "llamacpp")) < 0 ||
        json_object_update(entry, fixed) < 0)
        return fail_nomem(error);
    struct source source = { .path = "the built-in model", .findings = findings };
    struct spot at = { .value = entry };
    config->builtin = config->one_llamacpp = true;
    config_add_backend(&source, &at, config);
    return findings_verdict(findings, error);
}
