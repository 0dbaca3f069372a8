/*
 * file.c - the configuration file.
 *
 *     { "active_permits": 4, "queue_depth": 10,
 *       "backends": [
 *         { "kind": "llamacpp", "name": "main",
 *           "model": { "name": "a", "sha256": "...", "source_url": "https://..." } },
 *         { "kind": "llamacpp", "name": "other", "path": "/models/b.gguf", "sha256": "..." } ] }
 *
 * First the tables of keys.c look for what is wrong with each value, then the values are
 * taken.  A value of the wrong type has been complained about when it is to be taken, and
 * counts as absent.  A file without a model is no mistake: the built-in one then serves.
 */
#include <string.h>

#include "base/file.h"
#include "config/config.h"
#include "config/keys.h"

enum { CONFIG_BYTES_MAX = 1024 * 1024 };

/* --- taking values ---------------------------------------------------------- */

static void take_u32(const json_t *object, const char *key, uint32_t *ret)
{
    const json_t *value = json_object_get(object, key);
    json_int_t n = json_integer_value(value);
    if (json_is_integer(value) && n >= 0 && n <= UINT32_MAX)
        *ret = (uint32_t)n;
}

static void take_bool(const json_t *object, const char *key, bool *ret)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_boolean(value))
        *ret = json_is_true(value);
}

static void take_text(const struct source *source, const json_t *object, const char *key,
                      char **ret)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (!text)
        return;
    free(*ret);
    *ret = strdup(text);
    if (!*ret)
        source->findings->incomplete = true;
}

static void take_ids(const struct source *source, const json_t *root, const char *key,
                     struct id_list *ret)
{
    const json_t *list = json_object_get(root, key);
    size_t n = json_array_size(list);
    if (n == 0)
        return;
    ret->at = calloc(n, sizeof *ret->at);
    if (!ret->at) {
        source->findings->incomplete = true;
        return;
    }
    ret->n = n;
    for (size_t i = 0; i < n; i++)
        ret->at[i] = (uint32_t)json_integer_value(json_array_get(list, i));
}

/* --- sockets ---------------------------------------------------------------- */

/* false: none; true: the one that is there already; a path: that one. */
static void take_socket(const struct source *source, const json_t *listen, const char *key,
                        char **ret)
{
    if (json_is_false(json_object_get(listen, key))) {
        free(*ret);
        *ret = NULL;
    }
    take_text(source, listen, key, ret);
}

static void take_tcp(const struct source *source, const struct spot *listen, const char *key,
                     char **ret)
{
    struct spot member = spot_member(listen, key);
    const char *text = json_string_value(member.value);
    if (text && !text[0])
        wrong_value(source, &member, "must not be empty when set");
    else
        take_text(source, listen->value, key, ret);
}

/* The variable named by `api_key_env`, which must hold a key. */
static void take_api_key(const struct source *source, const struct spot *listen,
                         const struct flags *flags, struct config *config)
{
    struct spot member = spot_member(listen, "api_key_env");
    const char *name = json_string_value(member.value);
    const char *key = NULL;
    if (!name)
        return;
    if (!name[0]) {
        wrong_value(source, &member, "must not be empty when set");
        return;
    }
    enum err e = secrets_take(flags->secrets, name, &key, NULL);
    if (!e && (!key || !key[0]))
        wrong_value(source, &member, "names the variable %.80s, which is not set", name);
    else if (e || !(config->api_key = strdup(key)))
        source->findings->incomplete = true;
}

static void read_listen(const struct source *source, const struct spot *root,
                        const struct flags *flags, struct config *config)
{
    struct spot listen = spot_member(root, "listen");
    if (!json_is_object(listen.value))
        return;
    take_socket(source, listen.value, "generate", &config->infer_path);
    take_socket(source, listen.value, "v2", &config->v2_path);
    take_socket(source, listen.value, "v2_blob", &config->v2_blob_path);
    take_socket(source, listen.value, "embed", &config->embed_path);
    take_socket(source, listen.value, "rerank", &config->rerank_path);
    take_tcp(source, &listen, "tcp", &config->tcp);
    take_tcp(source, &listen, "tcp_v2", &config->tcp_v2);
    take_tcp(source, &listen, "tcp_embed", &config->tcp_embed);
    take_api_key(source, &listen, flags, config);
    take_bool(listen.value, "tcp_without_key", &config->tcp_without_key);
}

/* --- models ----------------------------------------------------------------- */

static void read_list(const struct source *source, const struct spot *list, struct config *config)
{
    size_t n = json_array_size(list->value);
    if (json_is_array(list->value) && n == 0)
        wrong_value(source, list, "must have at least one entry");
    for (size_t i = 0; i < n; i++) {
        struct spot entry = { .up = list, .index = i, .value = json_array_get(list->value, i) };
        config_add_backend(source, &entry, config);
    }
}

/* `model` alone is one backend of its name, as files of older releases say it.  What flags
 * say of a llamacpp backend counts for it. */
static void read_single(const struct source *source, const struct spot *root,
                        const struct flags *flags, struct config *config)
{
    const json_t *model = json_object_get(root->value, "model");
    const char *name = json_string_value(json_object_get(model, "name"));
    CLEANUP(json_drop)
    json_t *entry = json_pack("{ss ss sO sO* sO*}", "kind", "llamacpp", "name",
                              name && name[0] ? name : "model", "model", model, "n_ctx",
                              json_object_get(root->value, "n_ctx"), "n_gpu_layers",
                              json_object_get(root->value, "n_gpu_layers"));
    if (!entry || json_object_update(entry, flags_of_kind(flags, "llamacpp")) < 0) {
        source->findings->incomplete = true;
        return;
    }
    json_object_del(entry, "sha256"); /* --model-sha256 is about --model-path */
    struct spot at = { .value = entry };
    config->one_llamacpp = true;
    config_add_backend(source, &at, config);
}

static void read_models(const struct source *source, const struct spot *root,
                        const struct flags *flags, struct config *config)
{
    struct spot model = spot_member(root, "model"), list = spot_member(root, "backends");
    if (model.value && list.value)
        wrong_at(source, &model,
                 "`model` and `backends` are mutually exclusive — pick one shape, not both");
    else if (json_is_object(model.value))
        read_single(source, root, flags, config);
    else if (list.value)
        read_list(source, &list, config);
}

/* --- the file --------------------------------------------------------------- */

static void read_settings(const struct source *source, const json_t *root, struct config *config)
{
    take_u32(root, "active_permits", &config->active_permits);
    take_u32(root, "queue_depth", &config->queue_depth);
    take_u32(root, "connections_per_caller", &config->connections_per_caller);
    take_u32(root, "idle_unload_secs", &config->idle_unload_secs);
    take_u32(root, "ready_timeout_secs", &config->ready_timeout_secs);
    take_u32(root, "drain_timeout_secs", &config->drain_timeout_secs);
    take_u32(root, "write_timeout_secs", &config->write_timeout_secs);
    take_u32(root, "read_timeout_secs", &config->read_timeout_secs);
    take_bool(root, "auto_pull", &config->auto_pull);
    take_text(source, root, "models_home", &config->models_home);
    take_text(source, root, "group", &config->group);
    take_ids(source, root, "allow_uids", &config->allow_uids);
    take_ids(source, root, "allow_gids", &config->allow_gids);
    const json_t *log = json_object_get(root, "log");
    take_text(source, log, "level", &config->log_level);
    take_text(source, log, "dir", &config->log_dir);
}

static void read_root(const struct source *source, const json_t *tree, const struct flags *flags,
                      struct config *config)
{
    struct spot root = { .value = tree };
    if (!json_is_object(tree)) {
        wrong_at(source, &root, "the file must hold one object");
        return;
    }
    keys_check(source, &root, file_keys);
    read_settings(source, tree, config);
    read_listen(source, &root, flags, config);
    read_models(source, &root, flags, config);
}

enum err config_file_read(const char *path, const struct flags *flags, struct config *config,
                          struct findings *findings, struct error *error)
{
    CLEANUP(free_ptr) char *text = NULL;
    CLEANUP(json_drop) json_t *root = NULL;
    struct error why;
    size_t len;
    enum err e = file_read(path, CONFIG_BYTES_MAX, &text, &len, &why);
    if (!e)
        e = json_read(text, len, &root, &why);
    if (e == ERR_NO_MEMORY)
        return fail_nomem(error);
    if (e) {
        fail(error, ERR_CONFIG, "invalid config: %.300s%s%s", text ? path : "", text ? ": " : "",
             why.message);
        findings_add(findings, true, error->message);
        return ERR_CONFIG;
    }
    struct source source = { path, text, len, findings };
    read_root(&source, root, flags, config);
    return findings_verdict(findings, error);
}
