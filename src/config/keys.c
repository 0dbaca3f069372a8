/*
 * keys.c - see keys.h.
 *
 * Every key that a release of the reference knew is here, so that its files work: those
 * that change nothing say why in a warning.  A key that is not here is a misspelt one.
 */
#include "config/keys.h"

#include <string.h>

#include "base/nearest.h"
#include "config/config.h"

enum {
    CONTEXT_LOWEST = 64, /* a template alone may need as many */
    CONTEXT_HIGHEST = 16 * 1024 * 1024,
    THREADS_HIGHEST = 512,
    SLOTS_HIGHEST = 1024,
    QUEUE_HIGHEST = 1000000,
    CONNECTIONS_HIGHEST = 1000000,
    SECONDS_HIGHEST = 365 * 24 * 3600,
    MIB_HIGHEST = 1 << 30,
    DAY = 24 * 3600,
};

/* clang-format off */
#define ANY(name)              { name, KEY_ANY,    0, 0, NULL, NULL, NULL }
#define TEXT(name)             { name, KEY_TEXT,   0, 0, NULL, NULL, NULL }
#define CHOICE(name, words)    { name, KEY_TEXT,   0, 0, words, NULL, NULL }
#define BOOL(name)             { name, KEY_BOOL,   0, 0, NULL, NULL, NULL }
#define WHOLE(name, low, high) { name, KEY_WHOLE,  low, high, NULL, NULL, NULL }
#define LIST(name)             { name, KEY_LIST,   0, 0, NULL, NULL, NULL }
#define IDS(name)              { name, KEY_IDS,    0, 0, NULL, NULL, NULL }
#define SOCKET(name)           { name, KEY_SOCKET, 0, 0, NULL, NULL, NULL }
#define OBJECT(name, keys)     { name, KEY_OBJECT, 0, 0, NULL, keys, NULL }
#define END                    { NULL, KEY_ANY,    0, 0, NULL, NULL, NULL }
/* Known, but without effect. */
#define UNUSED_TEXT(name, words, why)        { name, KEY_TEXT,   0, 0, words, NULL, why }
#define UNUSED_BOOL(name, why)               { name, KEY_BOOL,   0, 0, NULL, NULL, why }
#define UNUSED_WHOLE(name, low, high, why)   { name, KEY_WHOLE,  low, high, NULL, NULL, why }
#define UNUSED_SOCKET(name, why)             { name, KEY_SOCKET, 0, 0, NULL, NULL, why }
#define UNUSED_OBJECT(name, keys, why)       { name, KEY_OBJECT, 0, 0, NULL, keys, why }
/* clang-format on */

#define NO_MEDIA      "this release reads no pictures and no sound"
#define NO_EMBEDDINGS "this release makes no embeddings"
#define NO_RERANK     "this release does not rerank"
#define NO_SUCH_WIRE  "this release does not serve that wire"
#define NO_AUTOSELECT                                                                              \
    "no model is chosen or fetched unasked; name one, or fetch one with `inferdctl pull`"

static const char *const templates[] = { "gemma4", "granite", NULL };
static const char *const kv[] = { "auto", "streams", "unified", NULL };
static const char *const sharing[] = { "uid", "caller", "off", NULL };
static const char *const sandboxes[] = { "auto", "off", "require", NULL };
static const char *const attention[] = { "auto", "on", "off", NULL };
static const char *const kv_types[] = { "f32",  "f16",  "bf16", "q8_0", "q5_1",
                                        "q5_0", "q4_1", "q4_0", NULL };
static const char *const autoselect[] = { "off", "auto", NULL };

static const struct key model_keys[] = {
    TEXT("name"),       TEXT("sha256"),  WHOLE("size_bytes", 0, INT64_MAX),
    TEXT("source_url"), TEXT("license"), END,
};

static const struct key mock_keys[] = {
    TEXT("kind"),
    TEXT("name"),
    WHOLE("slots", 1, SLOTS_HIGHEST),
    WHOLE("idle_unload_secs", 0, SECONDS_HIGHEST),
    WHOLE("memory_limit_mib", 1, MIB_HIGHEST),
    ANY("tokens"),
    ANY("token_delay_ms"),
    ANY("load_delay_ms"),
    ANY("fail"),
    ANY("drop_after"),
    ANY("crash_after"),
    ANY("hang_after"),
    ANY("capabilities"),
    ANY("scripted"),
    END,
};

static const struct key llamacpp_keys[] = {
    TEXT("kind"),
    TEXT("name"),
    WHOLE("slots", 1, SLOTS_HIGHEST),
    WHOLE("idle_unload_secs", 0, SECONDS_HIGHEST),
    WHOLE("memory_limit_mib", 1, MIB_HIGHEST),
    OBJECT("model", model_keys),
    TEXT("path"),
    TEXT("sha256"),
    WHOLE("n_ctx", CONTEXT_LOWEST, CONTEXT_HIGHEST),
    WHOLE("n_gpu_layers", INT32_MIN, INT32_MAX),
    WHOLE("threads", 1, THREADS_HIGHEST),
    WHOLE("threads_batch", 1, THREADS_HIGHEST),
    BOOL("mmap"),
    BOOL("huge_pages"),
    CHOICE("kv_type", kv_types),
    CHOICE("flash_attention", attention),
    BOOL("memory_check"),
    LIST("rpc_servers"),
    CHOICE("sandbox", sandboxes),
    CHOICE("kv", kv),
    WHOLE("kv_tokens", CONTEXT_LOWEST, INT32_MAX),
    CHOICE("prefix_sharing", sharing),
    WHOLE("prefix_cache_mib", 0, 1024 * 1024),
    WHOLE("pace_percent", 110, 10000),
    UNUSED_OBJECT("mmproj", model_keys, NO_MEDIA),
    UNUSED_WHOLE("mmproj_image_max_tokens", 1, INT32_MAX, NO_MEDIA),
    UNUSED_BOOL("embed", NO_EMBEDDINGS),
    UNUSED_WHOLE("embed_pooling", INT32_MIN, INT32_MAX, NO_EMBEDDINGS),
    UNUSED_WHOLE("embed_n_ctx", 1, UINT32_MAX, NO_EMBEDDINGS),
    UNUSED_BOOL("rerank", NO_RERANK),
    UNUSED_WHOLE("rerank_n_ctx", 1, UINT32_MAX, NO_RERANK),
    UNUSED_TEXT("chat_template", templates, "the model's own template is used"),
    END,
};

static const struct key openai_keys[] = {
    TEXT("kind"),  TEXT("name"),        WHOLE("slots", 1, SLOTS_HIGHEST),          TEXT("base_url"),
    TEXT("model"), TEXT("api_key_env"), WHOLE("timeout_secs", 1, SECONDS_HIGHEST), END,
};

static const struct key bedrock_keys[] = {
    TEXT("kind"),
    TEXT("name"),
    WHOLE("slots", 1, SLOTS_HIGHEST),
    TEXT("region"),
    TEXT("model_id"),
    TEXT("bearer_token_env"),
    TEXT("endpoint"),
    WHOLE("timeout_secs", 1, SECONDS_HIGHEST),
    END,
};

static const struct backend_kind kinds[] = {
    { "llamacpp", "inferd-engine-llama", true, llamacpp_keys },
    { "mock", "inferd-engine-mock", false, mock_keys },
    { "openai-compat", "inferd-engine-remote", false, openai_keys },
    { "anthropic", "inferd-engine-remote", false, openai_keys },
    { "bedrock-invoke", "inferd-engine-remote", false, bedrock_keys },
};

static const struct key listen_keys[] = {
    SOCKET("generate"),
    UNUSED_SOCKET("v2", NO_SUCH_WIRE),
    UNUSED_SOCKET("v2_blob", NO_SUCH_WIRE),
    UNUSED_SOCKET("embed", NO_SUCH_WIRE),
    UNUSED_SOCKET("rerank", NO_SUCH_WIRE),
    TEXT("tcp"),
    TEXT("tcp_v2"),
    TEXT("tcp_embed"),
    TEXT("api_key_env"),
    BOOL("tcp_without_key"),
    END,
};

static const struct key log_keys[] = { TEXT("level"), TEXT("dir"), END };

const struct key file_keys[] = {
    LIST("backends"),
    OBJECT("model", model_keys),
    WHOLE("n_ctx", CONTEXT_LOWEST, CONTEXT_HIGHEST),
    WHOLE("n_gpu_layers", INT32_MIN, INT32_MAX),
    BOOL("auto_pull"),
    TEXT("models_home"),
    WHOLE("active_permits", 1, SLOTS_HIGHEST),
    WHOLE("queue_depth", 0, QUEUE_HIGHEST),
    WHOLE("connections_per_caller", 1, CONNECTIONS_HIGHEST),
    WHOLE("idle_unload_secs", 0, SECONDS_HIGHEST),
    WHOLE("ready_timeout_secs", 1, DAY),
    WHOLE("drain_timeout_secs", 0, DAY),
    WHOLE("write_timeout_secs", 0, DAY),
    WHOLE("read_timeout_secs", 1, DAY),
    TEXT("group"),
    IDS("allow_uids"),
    IDS("allow_gids"),
    OBJECT("listen", listen_keys),
    OBJECT("log", log_keys),
    UNUSED_TEXT("admin_addr", NULL, "the option --admin-addr names the admin socket"),
    UNUSED_TEXT("model_autoselect", autoselect, NO_AUTOSELECT),
    UNUSED_WHOLE("model_autoselect_min_vram_gib", 0, UINT32_MAX, NO_AUTOSELECT),
    END,
};

const struct backend_kind *backend_kind_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

const char *backend_kind_nearest(const char *name)
{
    const char *names[ARRAY_LEN(kinds)];
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        names[i] = kinds[i].name;
    return nearest(name, names, ARRAY_LEN(kinds));
}

/* --- checking --------------------------------------------------------------- */

static const struct key *find(const struct key *keys, const char *name)
{
    while (keys->name && strcmp(keys->name, name) != 0)
        keys++;
    return keys->name ? keys : NULL;
}

const char *backend_key_unused(const struct backend_kind *kind, const char *key)
{
    const struct key *found = find(kind->keys, key);
    return found ? found->unused : NULL;
}

static void unknown(const struct source *source, const struct spot *spot, const struct key *keys)
{
    enum { KEYS_MAX = 64 };
    const char *names[KEYS_MAX];
    char where[SPOT_NAME_MAX];
    size_t n = 0;
    for (; keys[n].name && n < KEYS_MAX; n++)
        names[n] = keys[n].name;
    const char *meant = nearest(spot->key, names, n);
    spot_name(spot->up, where);
    wrong_at(source, spot, "unknown key \"%.80s\"%s%s%s%s%s", spot->key, where[0] ? " in " : "",
             where, meant ? "; did you mean \"" : "", meant ? meant : "", meant ? "\"?" : "");
}

static void check_whole(const struct source *source, const struct spot *spot, const struct key *key)
{
    long long n = json_integer_value(spot->value);
    if (!json_is_integer(spot->value))
        wrong_value(source, spot, "must be a whole number");
    else if (key->lowest >= 1 && n < 1)
        wrong_value(source, spot, "must be > 0 (got %lld)", n);
    else if (n < key->lowest || n > key->highest)
        wrong_value(source, spot, "must be from %lld to %lld (got %lld)", (long long)key->lowest,
                    (long long)key->highest, n);
}

/* One of `choices`, as "a, b or c" in the sentence. */
static void check_text(const struct source *source, const struct spot *spot, const struct key *key)
{
    if (!json_is_string(spot->value)) {
        wrong_value(source, spot, "must be a string");
        return;
    }
    const char *text = json_string_value(spot->value);
    char list[128] = "";
    for (const char *const *c = key->choices; c && *c; c++) {
        if (strcmp(text, *c) == 0)
            return;
        size_t len = strlen(list);
        const char *between = len == 0 ? "" : c[1] ? ", " : " or ";
        snprintf(list + len, sizeof list - len, "%s\"%s\"", between, *c);
    }
    if (key->choices)
        wrong_value(source, spot, "must be %s (got \"%.80s\")", list, text);
}

static void check_ids(const struct source *source, const struct spot *spot)
{
    size_t i;
    json_t *id;
    bool right = json_is_array(spot->value);
    json_array_foreach((json_t *)spot->value, i, id)
    {
        json_int_t n = json_integer_value(id);
        right = right && json_is_integer(id) && n >= 0 && n < UINT32_MAX;
    }
    if (!right)
        wrong_value(source, spot, "must be a list of numbers from 0 to %u", UINT32_MAX - 1);
}

static void check_socket(const struct source *source, const struct spot *spot)
{
    const char *path = json_string_value(spot->value);
    if (!json_is_boolean(spot->value) && !path)
        wrong_value(source, spot, "must be true, false or the path of a socket");
    else if (path && path[0] != '/')
        wrong_value(source, spot, "must be an absolute path (got \"%.80s\")", path);
}

/* Whoever turns off what is not there misses nothing. */
static bool is_off(const json_t *value)
{
    const char *text = json_string_value(value);
    return json_is_false(value) || (text && strcmp(text, "off") == 0);
}

static void check(const struct source *source, const struct spot *spot, const struct key *key)
{
    switch (key->type) {
    case KEY_ANY:
        break;
    case KEY_TEXT:
        check_text(source, spot, key);
        break;
    case KEY_BOOL:
        if (!json_is_boolean(spot->value))
            wrong_value(source, spot, "must be true or false");
        break;
    case KEY_WHOLE:
        check_whole(source, spot, key);
        break;
    case KEY_OBJECT:
        if (!json_is_object(spot->value))
            wrong_value(source, spot, "must be an object");
        else
            keys_check(source, spot, key->inside);
        break;
    case KEY_LIST:
        if (!json_is_array(spot->value))
            wrong_value(source, spot, "must be a list");
        break;
    case KEY_IDS:
        check_ids(source, spot);
        break;
    case KEY_SOCKET:
        check_socket(source, spot);
        break;
    }
}

void keys_check(const struct source *source, const struct spot *spot, const struct key *keys)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)spot->value, name, value)
    {
        struct spot member = spot_member(spot, name);
        const struct key *key = find(keys, name);
        bool note = strncmp(name, "x-", 2) == 0;
        if (!key && !note)
            unknown(source, &member, keys);
        if (!key || !member.value)
            continue;
        size_t wrong_before = source->findings->n_wrong;
        check(source, &member, key);
        if (key->unused && !is_off(member.value) && source->findings->n_wrong == wrong_before)
            unused_value(source, &member, "has no effect: %s", key->unused);
    }
}
