/*
 * fixed.c - the settings that can't change while the daemon runs: what it has bound, locked
 * and opened.
 */
#include <string.h>

#include "config/config.h"

static const struct fixed {
    const char *name;
    size_t offset;
} fixed[] = {
#define SETTING(name, field)                                                                       \
    {                                                                                              \
        name, offsetof(struct config, field)                                                       \
    }
    SETTING("the runtime directory", runtime_dir),
    SETTING("the lock", lock_path),
    SETTING("the admin socket", admin_path),
    SETTING("listen.generate", infer_path),
    SETTING("listen.v2", v2_path),
    SETTING("listen.v2_blob", v2_blob_path),
    SETTING("listen.embed", embed_path),
    SETTING("listen.rerank", rerank_path),
    SETTING("listen.tcp", tcp),
    SETTING("listen.tcp_v2", tcp_v2),
    SETTING("listen.tcp_embed", tcp_embed),
    SETTING("listen.api_key_env", api_key),
    SETTING("group", group),
    SETTING("log.dir", log_dir),
#undef SETTING
};

static char **text_at(const struct config *c, const struct fixed *f)
{
    return (char **)((char *)c + f->offset);
}

const char *config_fixed_change(const struct config *running, const struct config *wanted,
                                size_t *at)
{
    while (*at < ARRAY_LEN(fixed)) {
        const struct fixed *f = &fixed[(*at)++];
        const char *a = *text_at(running, f), *b = *text_at(wanted, f);
        if ((a || b) && (!a || !b || strcmp(a, b) != 0))
            return f->name;
    }
    return NULL;
}

void config_keep_fixed(struct config *wanted, struct config *running)
{
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        char **a = text_at(running, &fixed[i]), **b = text_at(wanted, &fixed[i]), *kept = *a;
        *a = *b;
        *b = kept;
    }
    wanted->tcp_without_key = running->tcp_without_key;
}
