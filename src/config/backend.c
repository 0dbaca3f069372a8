/*
 * backend.c - one backend's entry.
 *
 * What is read here is what decides which process is started and what it is to have; the
 * rest of an entry is the engine's own business and handed to it as it stands.  The
 * tables of keys.c have seen to types and limits; the sentences here are about what
 * belongs together.
 */
#include <string.h>

#include "config/config.h"
#include "config/keys.h"
#include "store/name.h"

enum { SHA256_DIGITS = 64 };

/* The member's text; "" where there is none, or something else. */
static const char *text(const struct spot *at, const char *key)
{
    const char *s = json_string_value(json_object_get(at->value, key));
    return s ? s : "";
}

static bool keep(const struct source *source, char **ret, const char *s)
{
    *ret = strdup(s);
    if (!*ret)
        source->findings->incomplete = true;
    return *ret != NULL;
}

static const struct backend_kind *read_kind(const struct source *source, const struct spot *at)
{
    struct spot kind = spot_member(at, "kind");
    const char *name = json_string_value(kind.value);
    const struct backend_kind *found = name ? backend_kind_find(name) : NULL;
    if (!kind.value)
        wrong_value(source, at, "has no kind (\"llamacpp\", for example)");
    else if (!name)
        wrong_value(source, &kind, "must be a string");
    if (found || !name)
        return found;
    const char *meant = backend_kind_nearest(name);
    if (meant)
        wrong_value(source, &kind, "is unknown: \"%.80s\"; did you mean \"%s\"?", name, meant);
    else
        wrong_value(source, &kind,
                    "is unknown: \"%.80s\"; there are llamacpp, openai-compat, anthropic, "
                    "bedrock-invoke and mock",
                    name);
    return NULL;
}

static void check_name(const struct source *source, const struct spot *at,
                       const struct config *config)
{
    struct spot name = spot_member(at, "name");
    const char *s = text(at, "name");
    if (!s[0])
        wrong_at(source, name.value ? &name : at, "backends[].name must not be empty");
    for (size_t i = 0; i < config->n_backends; i++)
        if (s[0] && strcmp(config->backends[i].name, s) == 0)
            wrong_at(source, &name, "duplicate backends[].name \"%.80s\" — names must be unique",
                     s);
    /* An operator must be able to tell the model that ships from their own. */
    if (source->text && strcmp(s, BUILTIN_BACKEND) == 0)
        wrong_value(source, &name, "\"" BUILTIN_BACKEND "\" belongs to the model that ships");
}

/* --- models ----------------------------------------------------------------- */

static bool read_digest(const struct source *source, const struct spot *at,
                        struct backend_config *b)
{
    struct spot sha256 = spot_member(at, "sha256");
    const char *s = text(at, "sha256");
    if (strlen(s) == SHA256_DIGITS && strspn(s, "0123456789abcdef") == SHA256_DIGITS)
        return keep(source, &b->sha256, s);
    wrong_value(source, &sha256, "must be 64 lowercase hex chars, not \"%.80s\"", s);
    return false;
}

/* A model file that lies somewhere: path and sha256 stand in the entry itself. */
static bool read_path(const struct source *source, const struct spot *at, struct backend_config *b)
{
    struct spot path = spot_member(at, "path");
    const char *s = text(at, "path");
    bool right = s[0] == '/' && keep(source, &b->path, s);
    if (!path.value)
        wrong_value(source, at, "needs a model, or path and sha256");
    else if (s[0] != '/')
        wrong_value(source, &path, "must be the absolute path of a model, not \"%.80s\"", s);
    if (!path.value && !json_object_get(at->value, "sha256"))
        return false;
    return read_digest(source, at, b) && right;
}

static bool read_model_name(const struct source *source, const struct spot *model,
                            struct backend_config *b)
{
    struct spot name = spot_member(model, "name");
    const char *s = text(model, "name");
    struct error why;
    if (!s[0])
        wrong_value(source, &name, "must not be empty");
    else if (model_name_check(s, strlen(s), &why))
        wrong_value(source, &name, "must be a name: %s", why.message);
    else
        return keep(source, &b->model_name, s);
    return false;
}

static bool read_source(const struct source *source, const struct spot *model,
                        struct backend_config *b)
{
    struct spot url = spot_member(model, "source_url");
    const char *s = text(model, "source_url"), *license = text(model, "license");
    if (s[0] && strncmp(s, "https://", 8) != 0) {
        wrong_value(source, &url, "must be https:// (got \"%.80s\")", s);
        return false;
    }
    return keep(source, &b->source_url, s) && (!license[0] || keep(source, &b->license, license));
}

/* A model of the store. */
static bool read_stored(const struct source *source, const struct spot *model,
                        struct backend_config *b)
{
    if (!json_is_object(model->value))
        return false; /* which was said already */
    json_int_t size = json_integer_value(json_object_get(model->value, "size_bytes"));
    b->size = size > 0 ? (uint64_t)size : 0;
    bool right = read_model_name(source, model, b);
    right = read_digest(source, model, b) && right;
    return read_source(source, model, b) && right;
}

static bool read_model(const struct source *source, const struct spot *at, struct backend_config *b)
{
    struct spot model = spot_member(at, "model");
    if (!model.value)
        return read_path(source, at, b);
    if (!json_object_get(at->value, "path") && !json_object_get(at->value, "sha256"))
        return read_stored(source, &model, b);
    wrong_value(source, at, "has a model and a path: it can be only one");
    return false;
}

/* --- what others compute ---------------------------------------------------- */

static void check_filled(const struct source *source, const struct spot *at, const char *key)
{
    struct spot member = spot_member(at, key);
    const char *s = text(at, key);
    if (s[strspn(s, " \t\r\n")] == '\0')
        wrong_value(source, &member, "must not be empty");
}

static void check_url(const struct source *source, const struct spot *at, const char *key)
{
    struct spot url = spot_member(at, key);
    const char *s = text(at, key);
    if (url.value && s[0] && strncmp(s, "http://", 7) != 0 && strncmp(s, "https://", 8) != 0)
        wrong_value(source, &url, "must be http:// or https:// (got \"%.80s\")", s);
}

static void check_remote(const struct source *source, const struct spot *at,
                         const struct backend_kind *kind)
{
    if (strcmp(kind->name, "bedrock-invoke") == 0) {
        check_filled(source, at, "region");
        check_filled(source, at, "model_id");
        check_url(source, at, "endpoint");
    } else if (!kind->has_model && strcmp(kind->name, "mock") != 0) {
        check_filled(source, at, "model");
        if (strcmp(kind->name, "openai-compat") == 0)
            check_filled(source, at, "base_url");
        check_url(source, at, "base_url");
    }
}

/* --- who computes along ----------------------------------------------------- */

static void check_rpc(const struct source *source, const struct spot *at)
{
    struct spot list = spot_member(at, "rpc_servers");
    size_t i;
    json_t *value;
    json_array_foreach((json_t *)list.value, i, value)
    {
        struct spot one = { .up = &list, .index = i, .value = value };
        if (!json_is_string(value) || !strchr(json_string_value(value), ':'))
            wrong_value(source, &one, "must be \"host:port\"");
    }
    if (json_array_size(list.value) > 0)
        unused_value(source, &list,
                     "is a link without encryption or password: whoever is on the way can read "
                     "and change what is computed");
}

/* --- all of it -------------------------------------------------------------- */

/* The entry for the engine.  Any negative number means all layers. */
static bool keep_options(const struct source *source, const struct spot *at,
                         struct backend_config *b)
{
    b->options = json_deep_copy(at->value);
    bool all = json_integer_value(json_object_get(at->value, "n_gpu_layers")) < 0;
    if (!b->options ||
        (all && json_object_set_new(b->options, "n_gpu_layers", json_integer(-1)) < 0))
        source->findings->incomplete = true;
    return !source->findings->incomplete;
}

static bool read_backend(const struct source *source, const struct spot *at,
                         const struct config *config, struct backend_config *b)
{
    size_t wrong_before = source->findings->n_wrong;
    if (!json_is_object(at->value)) {
        wrong_value(source, at, "must be an object");
        return false;
    }
    b->kind = read_kind(source, at);
    if (b->kind && at->up)
        keys_check(source, at, b->kind->keys);
    check_name(source, at, config);
    if (!b->kind)
        return false;
    check_remote(source, at, b->kind);
    check_rpc(source, at);
    if (b->kind->has_model && !read_model(source, at, b))
        return false;
    b->slots = (uint32_t)json_integer_value(json_object_get(at->value, "slots"));
    b->memory_limit_mib =
        (uint32_t)json_integer_value(json_object_get(at->value, "memory_limit_mib"));
    const json_t *idle = json_object_get(at->value, "idle_unload_secs");
    b->idle_unload_secs = idle ? (uint32_t)json_integer_value(idle) : BACKEND_AS_DAEMON;
    return keep(source, &b->name, text(at, "name")) && keep_options(source, at, b) &&
           source->findings->n_wrong == wrong_before;
}

void backend_config_done(struct backend_config *b)
{
    free(b->name);
    free(b->path);
    free(b->model_name);
    free(b->sha256);
    free(b->source_url);
    free(b->license);
    json_decref(b->options);
}

void config_add_backend(const struct source *source, const struct spot *at, struct config *config)
{
    struct backend_config b = { 0 };
    struct backend_config *more = NULL;
    if (read_backend(source, at, config, &b)) {
        more = reallocarray(config->backends, config->n_backends + 1, sizeof b);
        source->findings->incomplete |= !more;
    }
    if (!more) {
        backend_config_done(&b);
        return;
    }
    config->backends = more;
    config->backends[config->n_backends++] = b;
}
