/*
 * file.c - the configuration file.
 *
 *     { "active_permits": 1, "queue_depth": 10,
 *       "backends": [
 *         { "kind": "llamacpp", "name": "main",
 *           "model": { "name": "a", "sha256": "...", "source_url": "https://..." } },
 *         { "kind": "llamacpp", "name": "other", "path": "/models/b.gguf", "sha256": "..." } ] }
 *
 * What is read here is what decides which process is started; the rest of an entry
 * is the engine's own business and handed to it as it stands.  A key that nobody
 * knows is an error: it is a misspelt one.  A file without `backends` names no model;
 * the built-in one then serves.
 */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "config/config.h"
#include "store/name.h"

enum {
    CONFIG_BYTES_MAX = 1024 * 1024,
    SHA256_DIGITS = 64,
};

static const char *const mock_keys[] = { "tokens",     "token_delay_ms", "load_delay_ms",
                                         "fail",       "drop_after",     "crash_after",
                                         "hang_after", "capabilities",   "scripted",
                                         NULL };
static const char *const llamacpp_keys[] = { "n_ctx", "n_gpu_layers", "threads", NULL };

static const struct backend_kind kinds[] = {
    { "mock", "inferd-engine-mock", false, mock_keys },
    { "llamacpp", "inferd-engine-llama", true, llamacpp_keys },
};

static const char *const common_keys[] = { "kind", "name", "slots", NULL };
static const char *const place_keys[] = { "model", "path", "sha256", NULL };
static const char *const model_keys[] = { "name",       "sha256",  "size_bytes",
                                          "source_url", "license", NULL };
static const char *const file_keys[] = { "backends",  "model",        "active_permits",
                                         "auto_pull", "models_home",  "queue_depth",
                                         "n_ctx",     "n_gpu_layers", NULL };

const struct backend_kind *backend_kind_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

static bool is_one_of(const char *key, const char *const *keys)
{
    while (*keys && strcmp(*keys, key) != 0)
        keys++;
    return *keys != NULL;
}

/* Names that begin with x- are for notes of the operator's own. */
static bool is_note(const char *key)
{
    return key[0] == 'x' && key[1] == '-';
}

static enum err copy_string(char **ret, const char *s, struct error *error)
{
    char *copy = strdup(s);
    if (!copy)
        return fail_nomem(error);
    *ret = copy;
    return OK;
}

/* --- one backend ------------------------------------------------------------ */

static enum err check_keys(const json_t *entry, const struct backend_kind *kind, const char *where,
                           struct error *error)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)entry, key, value)
    {
        if (!is_one_of(key, common_keys) && !is_one_of(key, kind->keys) && !is_note(key) &&
            !(kind->has_model && is_one_of(key, place_keys)))
            return fail(error, ERR_CONFIG, "%s: unknown key \"%.80s\" for kind \"%s\"", where, key,
                        kind->name);
    }
    return OK;
}

static enum err read_kind(const json_t *entry, const char *where, const struct backend_kind **ret,
                          struct error *error)
{
    const char *name = NULL;
    enum err e = json_get_string(entry, "kind", &name, error);
    if (e)
        return e;
    if (!name)
        return fail(error, ERR_CONFIG, "%s: kind is missing (mock or llamacpp)", where);
    *ret = backend_kind_find(name);
    if (!*ret)
        return fail(error, ERR_CONFIG, "%s: unknown kind \"%.80s\" (mock or llamacpp)", where,
                    name);
    return OK;
}

/* The name, which must be its own. */
static enum err read_name(const json_t *entry, const struct config *config, const char *where,
                          char **ret, struct error *error)
{
    const char *name = "";
    enum err e = json_get_string(entry, "name", &name, error);
    if (e)
        return e;
    if (!name[0])
        return fail(error, ERR_CONFIG, "%s: name must not be empty", where);
    for (size_t i = 0; i < config->n_backends; i++)
        if (strcmp(config->backends[i].name, name) == 0)
            return fail(error, ERR_CONFIG,
                        "%s: duplicate backends[].name \"%.80s\"; names must be unique", where,
                        name);
    return copy_string(ret, name, error);
}

static enum err read_digest(const json_t *object, const char *where, char **ret,
                            struct error *error)
{
    const char *sha256 = NULL;
    enum err e = json_get_string(object, "sha256", &sha256, error);
    if (e)
        return e;
    if (!sha256 || strlen(sha256) != SHA256_DIGITS ||
        strspn(sha256, "0123456789abcdef") != SHA256_DIGITS)
        return fail(error, ERR_CONFIG, "%s.sha256 must be 64 lowercase hex chars, not \"%.80s\"",
                    where, sha256 ? sha256 : "");
    return copy_string(ret, sha256, error);
}

/* A model file that lies somewhere: path and sha256 stand in the entry itself. */
static enum err read_path(const json_t *entry, const char *where, struct backend_config *b,
                          struct error *error)
{
    const char *path = NULL;
    enum err e = json_get_string(entry, "path", &path, error);
    if (e)
        return e;
    if (!path || path[0] != '/')
        return fail(error, ERR_CONFIG,
                    "%s: path must be the absolute path of a model, not \"%.80s\"", where,
                    path ? path : "");
    e = read_digest(entry, where, &b->sha256, error);
    return e ? e : copy_string(&b->path, path, error);
}

static enum err read_model_name(const json_t *model, const char *where, char **ret,
                                struct error *error)
{
    const char *name = "";
    enum err e = json_get_string(model, "name", &name, error);
    if (e)
        return e;
    if (!name[0])
        return fail(error, ERR_CONFIG, "%s.name must not be empty", where);
    struct error why;
    if (model_name_check(name, strlen(name), &why))
        return fail(error, ERR_CONFIG, "%s.name: %s", where, why.message);
    return copy_string(ret, name, error);
}

static enum err read_source(const json_t *model, const char *where, struct backend_config *b,
                            struct error *error)
{
    const char *url = "", *license = NULL;
    enum err e = json_get_string(model, "source_url", &url, error);
    if (!e)
        e = json_get_string(model, "license", &license, error);
    if (e)
        return e;
    if (url[0] && strncmp(url, "https://", 8) != 0)
        return fail(error, ERR_CONFIG, "%s.source_url must be https:// (got \"%.80s\")", where,
                    url);
    e = copy_string(&b->source_url, url, error);
    return e || !license ? e : copy_string(&b->license, license, error);
}

/* A model of the store. */
static enum err read_stored(const json_t *model, const char *entry_where, struct backend_config *b,
                            struct error *error)
{
    char where[64];
    snprintf(where, sizeof where, "%s%smodel", entry_where, entry_where[0] ? "." : "");
    if (!json_is_object(model))
        return fail(error, ERR_CONFIG, "%s must be an object", where);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)model, key, value)
    {
        if (!is_one_of(key, model_keys) && !is_note(key))
            return fail(error, ERR_CONFIG, "%s: unknown key \"%.80s\"", where, key);
    }
    enum err e = read_model_name(model, where, &b->model_name, error);
    if (!e)
        e = read_digest(model, where, &b->sha256, error);
    if (!e)
        e = json_get_u64(model, "size_bytes", &b->size, error);
    return e ? e : read_source(model, where, b, error);
}

static enum err read_model(const json_t *entry, const char *where, struct backend_config *b,
                           struct error *error)
{
    const json_t *model = json_object_get(entry, "model");
    if (!model)
        return read_path(entry, where, b, error);
    if (json_object_get(entry, "path") || json_object_get(entry, "sha256"))
        return fail(error, ERR_CONFIG, "%s has a model and a path: it can be only one", where);
    return read_stored(model, where, b, error);
}

static void backend_done(struct backend_config *b)
{
    free(b->name);
    free(b->path);
    free(b->model_name);
    free(b->sha256);
    free(b->source_url);
    free(b->license);
    json_decref(b->options);
}

static enum err read_backend(const struct config *config, const json_t *entry, const char *where,
                             struct backend_config *b, struct error *error)
{
    if (!json_is_object(entry))
        return fail(error, ERR_CONFIG, "%s must be an object", where);
    enum err e = read_kind(entry, where, &b->kind, error);
    if (!e)
        e = check_keys(entry, b->kind, where, error);
    if (!e)
        e = read_name(entry, config, where, &b->name, error);
    if (!e)
        e = json_get_u32(entry, "slots", 1, 1024, &b->slots, error);
    if (!e && b->kind->has_model)
        e = read_model(entry, where, b, error);
    if (!e && !(b->options = json_deep_copy(entry)))
        e = fail_nomem(error);
    return e;
}

enum err config_add_backend(struct config *config, const json_t *entry, const char *where,
                            struct error *error)
{
    struct backend_config b = { 0 };
    enum err e = read_backend(config, entry, where, &b, error);
    if (!e) {
        struct backend_config *more =
            reallocarray(config->backends, config->n_backends + 1, sizeof b);
        if (more) {
            config->backends = more;
            config->backends[config->n_backends++] = b;
            return OK;
        }
        e = fail_nomem(error);
    }
    backend_done(&b);
    return e;
}

void config_done(struct config *config)
{
    for (size_t i = 0; i < config->n_backends; i++)
        backend_done(&config->backends[i]);
    free(config->backends);
    free(config->runtime_dir);
    free(config->lock_path);
    free(config->infer_path);
    free(config->admin_path);
    free(config->group);
    free(config->models_home);
    *config = (struct config){ 0 };
}

/* --- the file --------------------------------------------------------------- */

/* An operator must be able to tell the model that ships from their own. */
static enum err check_label(const json_t *entry, const char *where, struct error *error)
{
    const char *name = json_string_value(json_object_get(entry, "name"));
    if (name && strcmp(name, BUILTIN_BACKEND) == 0)
        return fail(error, ERR_CONFIG,
                    "%s: the name \"" BUILTIN_BACKEND "\" belongs to the model that ships", where);
    return OK;
}

static enum err read_backends(const json_t *root, struct config *config, struct error *error)
{
    const json_t *list = json_object_get(root, "backends");
    if (!json_is_array(list) || json_array_size(list) == 0)
        return fail(error, ERR_CONFIG, "backends must be a list with at least one entry");
    enum err e = OK;
    for (size_t i = 0; !e && i < json_array_size(list); i++) {
        char where[32];
        snprintf(where, sizeof where, "backends[%zu]", i);
        e = check_label(json_array_get(list, i), where, error);
        if (!e)
            e = config_add_backend(config, json_array_get(list, i), where, error);
    }
    return e;
}

/* `model` alone is one backend of its name: what files of older releases say. */
static enum err read_single(const json_t *root, struct config *config, struct error *error)
{
    const json_t *model = json_object_get(root, "model");
    CLEANUP(json_drop)
    json_t *entry =
        json_pack("{ss sO sO* sO* sO*}", "kind", "llamacpp", "model", model, "name",
                  json_object_get(model, "name"), "n_ctx", json_object_get(root, "n_ctx"),
                  "n_gpu_layers", json_object_get(root, "n_gpu_layers"));
    if (!entry)
        return fail_nomem(error);
    if (!json_string_length(json_object_get(model, "name")))
        return fail(error, ERR_CONFIG, "model.name must not be empty");
    return config_add_backend(config, entry, "", error);
}

static enum err read_settings(const json_t *root, struct config *config, struct error *error)
{
    const char *home = NULL;
    enum err e = json_get_u32(root, "active_permits", 1, 1024, &config->active_permits, error);
    if (!e)
        e = json_get_u32(root, "queue_depth", 0, 1000000, &config->queue_depth, error);
    if (!e)
        e = json_get_bool(root, "auto_pull", &config->auto_pull, error);
    if (!e)
        e = json_get_string(root, "models_home", &home, error);
    return e || !home ? e : copy_string(&config->models_home, home, error);
}

static enum err read_root(const json_t *root, struct config *config, struct error *error)
{
    if (!json_is_object(root))
        return fail(error, ERR_CONFIG, "the file must hold one object");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)root, key, value)
    {
        if (!is_one_of(key, file_keys) && !is_note(key))
            return fail(error, ERR_CONFIG, "unknown key \"%.80s\"", key);
    }
    bool single = json_object_get(root, "model"), list = json_object_get(root, "backends");
    if (single && list)
        return fail(error, ERR_CONFIG,
                    "`model` and `backends` are mutually exclusive: pick one shape, not both");
    enum err e = read_settings(root, config, error);
    if (!e && single)
        e = read_single(root, config, error);
    else if (!e && list)
        e = read_backends(root, config, error);
    return e;
}

enum err config_file_read(const char *path, struct config *config, struct error *error)
{
    CLEANUP(free_ptr) char *text = NULL;
    CLEANUP(json_drop) json_t *root = NULL;
    struct error why;
    size_t len;
    enum err e = file_read(path, CONFIG_BYTES_MAX, &text, &len, error);
    if (e)
        return fail(error, ERR_CONFIG, "invalid config: %s", error->message);
    e = json_read(text, len, &root, &why);
    if (!e)
        e = read_root(root, config, &why);
    return e ? fail(error, ERR_CONFIG, "invalid config: %s: %s", path, why.message) : OK;
}
