/*
 * flags.c - the command line and the environment, one table.
 *
 * Most options fill a field of struct flags.  Those about the one backend that --backend
 * asks for become a member of its entry instead, under the name that a file has for it.
 */
#include "config/flags.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"

enum flag_type {
    FLAG_TEXT,
    FLAG_SECRET,
    FLAG_NUMBER,
    FLAG_SWITCH, /* without a value; its variable is true or false */
};

struct flag {
    const char *name;
    const char *variable;
    const char *value; /* how help calls the value */
    const char *help;  /* NULL: not worth a line */
    enum flag_type type;
    size_t at;        /* in struct flags; not used if there is a kind */
    const char *kind; /* of the backend that it is about; NULL: none */
    const char *key;  /* in that backend's entry */
    int64_t lowest, highest;
};

/* clang-format off */
#define FIELD(field) offsetof(struct flags, field), NULL, NULL
#define ENTRY(kind, key) 0, kind, key
#define TEXT(name, variable, value, field, help) \
    { name, variable, value, help, FLAG_TEXT, FIELD(field), 0, 0 }
#define SECRET(name, variable, field, help) \
    { name, variable, "KEY", help, FLAG_SECRET, FIELD(field), 0, 0 }
#define NUMBER(name, variable, field, low, high, help) \
    { name, variable, "N", help, FLAG_NUMBER, FIELD(field), low, high }
#define SWITCH(name, variable, field, help) \
    { name, variable, "", help, FLAG_SWITCH, FIELD(field), 0, 1 }
#define KIND_TEXT(name, variable, value, kind, key, help) \
    { name, variable, value, help, FLAG_TEXT, ENTRY(kind, key), 0, 0 }
#define KIND_NUMBER(name, variable, kind, key, low, high, help) \
    { name, variable, "N", help, FLAG_NUMBER, ENTRY(kind, key), low, high }
#define KIND_SWITCH(name, variable, kind, key, help) \
    { name, variable, "", help, FLAG_SWITCH, ENTRY(kind, key), 0, 1 }
#define KIND_SECRET(name, variable, kind, key, help) \
    { name, variable, "KEY", help, FLAG_SECRET, ENTRY(kind, key), 0, 0 }

static const struct flag table[] = {
    TEXT("config", "INFERD_CONFIG", "FILE", config,
         "the configuration file (default ~/.inferd/config.json, if there is one)"),
    TEXT("backend", "INFERD_BACKEND", "KIND", backend,
         "serve this one backend instead of a file's: llamacpp or mock"),
    TEXT("model-path", "INFERD_MODEL_PATH", "FILE", model_path, "the model of --backend llamacpp"),
    KIND_TEXT("model-sha256", "INFERD_MODEL_SHA256", "HEX", "llamacpp", "sha256",
              "its SHA-256, which is checked before anything reads it"),
    KIND_NUMBER("n-ctx", "INFERD_N_CTX", "llamacpp", "n_ctx", 64, 16777216,
                "tokens of context per request (default 8192)"),
    KIND_NUMBER("n-gpu-layers", "INFERD_N_GPU_LAYERS", "llamacpp", "n_gpu_layers", INT32_MIN,
                INT32_MAX, "layers to keep on a GPU (default 0; negative: all)"),
    KIND_SWITCH("llamacpp-embed", "INFERD_LLAMACPP_EMBED", "llamacpp", "embed", NULL),
    KIND_NUMBER("llamacpp-embed-pooling", "INFERD_LLAMACPP_EMBED_POOLING", "llamacpp",
                "embed_pooling", INT32_MIN, INT32_MAX, NULL),
    KIND_NUMBER("llamacpp-embed-n-ctx", "INFERD_LLAMACPP_EMBED_N_CTX", "llamacpp", "embed_n_ctx",
                1, UINT32_MAX, NULL),
    KIND_SWITCH("llamacpp-rerank", "INFERD_LLAMACPP_RERANK", "llamacpp", "rerank", NULL),
    KIND_NUMBER("llamacpp-rerank-n-ctx", "INFERD_LLAMACPP_RERANK_N_CTX", "llamacpp",
                "rerank_n_ctx", 1, UINT32_MAX, NULL),
    KIND_TEXT("chat-template", "INFERD_CHAT_TEMPLATE", "NAME", "llamacpp", "chat_template", NULL),
    KIND_TEXT("openai-base-url", "INFERD_OPENAI_BASE_URL", "URL", "openai-compat", "base_url",
              NULL),
    KIND_SECRET("openai-api-key", "INFERD_OPENAI_API_KEY", "openai-compat", "api_key_env", NULL),
    KIND_TEXT("openai-model", "INFERD_OPENAI_MODEL", "NAME", "openai-compat", "model", NULL),
    KIND_NUMBER("openai-timeout-secs", "INFERD_OPENAI_TIMEOUT_SECS", "openai-compat",
                "timeout_secs", 1, 86400, NULL),
    KIND_TEXT("bedrock-region", "INFERD_BEDROCK_REGION", "NAME", "bedrock-invoke", "region", NULL),
    KIND_TEXT("bedrock-model-id", "INFERD_BEDROCK_MODEL_ID", "ID", "bedrock-invoke", "model_id",
              NULL),
    KIND_SECRET("bedrock-bearer-token", "AWS_BEARER_TOKEN_BEDROCK", "bedrock-invoke",
                "bearer_token_env", NULL),
    KIND_TEXT("bedrock-endpoint", "INFERD_BEDROCK_ENDPOINT", "URL", "bedrock-invoke", "endpoint",
              NULL),
    KIND_NUMBER("bedrock-timeout-secs", "INFERD_BEDROCK_TIMEOUT_SECS", "bedrock-invoke",
                "timeout_secs", 1, 86400, NULL),
    TEXT("runtime-dir", "INFERD_RUNTIME_DIR", "DIR", runtime_dir,
         "where the sockets and the lock lie (default $XDG_RUNTIME_DIR/inferd, else\n"
         "~/.inferd/run, else /tmp/inferd-UID)"),
    TEXT("lock", "INFERD_LOCK", "PATH", lock, "the lock (default inferd.lock there)"),
    TEXT("uds", "INFERD_UDS", "PATH", uds, "the generation socket (default infer.sock there)"),
    TEXT("admin-addr", "INFERD_ADMIN_ADDR", "PATH", admin,
         "the admin socket (default admin.sock there)"),
    SWITCH("v2", "INFERD_V2", v2_on, NULL),
    TEXT("v2-addr", "INFERD_V2_ADDR", "PATH", v2, NULL),
    TEXT("v2-blob-addr", "INFERD_V2_BLOB_ADDR", "PATH", v2_blob, NULL),
    SWITCH("embed", "INFERD_EMBED", embed_on, NULL),
    TEXT("embed-addr", "INFERD_EMBED_ADDR", "PATH", embed, NULL),
    SWITCH("rerank", "INFERD_RERANK", rerank_on, NULL),
    TEXT("rerank-addr", "INFERD_RERANK_ADDR", "PATH", rerank, NULL),
    TEXT("tcp", "INFERD_TCP", "ADDR:PORT", tcp,
         "serve v1 at a loopback address, too; clients begin with the key"),
    TEXT("v2-tcp", "INFERD_V2_TCP", "ADDR:PORT", tcp_v2, NULL),
    TEXT("embed-tcp", "INFERD_EMBED_TCP", "ADDR:PORT", tcp_embed, NULL),
    SECRET("api-key", "INFERD_API_KEY", api_key, NULL),
    TEXT("api-key-file", "INFERD_API_KEY_FILE", "FILE", api_key_file,
         "the key for --tcp (or INFERD_API_KEY)"),
    SWITCH("tcp-without-key", "INFERD_TCP_WITHOUT_KEY", tcp_without_key,
           "let everybody on this machine ask by --tcp without a key"),
    TEXT("group", "INFERD_GROUP", "NAME", group, "the group that may use the generation socket"),
    TEXT("allow-uid", "INFERD_ALLOW_UID", "N,...", allow_uids,
         "serve only these users, beside root and the daemon's own"),
    TEXT("allow-gid", "INFERD_ALLOW_GID", "N,...", allow_gids,
         "serve users of these groups, too"),
    NUMBER("active-permits", "INFERD_ACTIVE_PERMITS", active_permits, 1, 1024,
           "requests that run at a time per backend (default 4)"),
    NUMBER("queue-depth", "INFERD_QUEUE_DEPTH", queue_depth, 0, 1000000,
           "requests that wait beyond those (default 10)"),
    NUMBER("connections-per-caller", "INFERD_CONNECTIONS_PER_CALLER", connections_per_caller, 1,
           1000000, "connections that one program of one user may have (default 1024)"),
    NUMBER("idle-unload-secs", "INFERD_IDLE_UNLOAD_SECS", idle_unload_secs, 0, 31536000,
           "end an engine that nobody used for so long; it starts again when it is\n"
           "needed (default 0: never)"),
    NUMBER("ready-timeout-secs", "INFERD_READY_TIMEOUT_SECS", ready_timeout_secs, 1, 86400,
           "give an engine up that shows no progress in loading for so long (default 30)"),
    NUMBER("drain-timeout-secs", "INFERD_DRAIN_TIMEOUT_SECS", drain_timeout_secs, 0, 86400,
           "let running requests go on for so long after SIGTERM (default 8)"),
    NUMBER("write-timeout-secs", "INFERD_WRITE_TIMEOUT_SECS", write_timeout_secs, 0, 86400,
           "close a client that takes no byte of its answer for so long (default 60;\n"
           "0: never)"),
    NUMBER("read-timeout-secs", "INFERD_READ_TIMEOUT_SECS", read_timeout_secs, 1, 86400,
           "close a client that leaves a request half sent for so long (default 60)"),
    TEXT("log-level", "INFERD_LOG", "LEVELS", log_level,
         "what the activity log holds: error, warn, info, debug, off (default info)"),
    TEXT("log-dir", "INFERD_LOG_DIR", "DIR", log_dir, "where it lies (default ~/.inferd/logs)"),
};
/* clang-format on */

_Static_assert(ARRAY_LEN(table) <= 64, "flags.given has a bit for each");

/* Options that do nothing but choose an action. */
enum { OPTION_HELP = 'h', OPTION_VERSION = 'V', OPTION_CHECK = 'C', FIRST_FLAG = 256 };

/* --- values ----------------------------------------------------------------- */

static enum err read_number(const struct flag *flag, const char *from, const char *value,
                            int64_t *ret, struct error *error)
{
    char *end;
    errno = 0;
    long long n = strtoll(value, &end, 10);
    if (errno || end == value || *end)
        return fail(error, ERR_INVALID_REQUEST, "%s: '%.80s' is not a whole number", from, value);
    if (n < flag->lowest || n > flag->highest)
        return fail(error, ERR_INVALID_REQUEST, "%s is %lld; it must be from %lld to %lld", from, n,
                    (long long)flag->lowest, (long long)flag->highest);
    *ret = n;
    return OK;
}

static enum err read_switch(const char *from, const char *value, int64_t *ret, struct error *error)
{
    bool on = strcmp(value, "true") == 0;
    if (!on && strcmp(value, "false") != 0)
        return fail(error, ERR_INVALID_REQUEST, "%s must be true or false, not '%.80s'", from,
                    value);
    *ret = on;
    return OK;
}

/* Into the entry of a backend of the flag's kind. */
static enum err set_member(struct flags *flags, const struct flag *flag, json_t *value,
                           const char *from, struct error *error)
{
    if (!value)
        return fail(error, ERR_INVALID_REQUEST, "%s must be UTF-8", from);
    if (json_object_set_new(flags_of_kind(flags, flag->kind), flag->key, value) < 0)
        return fail_nomem(error);
    return OK;
}

/* The value as a file would have it.  A secret's entry says where it is to be found. */
static enum err set_in_entry(struct flags *flags, const struct flag *flag, const char *from,
                             const char *value, int64_t number, struct error *error)
{
    switch (flag->type) {
    case FLAG_TEXT:
        return set_member(flags, flag, json_string(value), from, error);
    case FLAG_SECRET:
        return set_member(flags, flag, json_string(flag->variable), from, error);
    case FLAG_NUMBER:
        return set_member(flags, flag, json_integer(number), from, error);
    case FLAG_SWITCH:
        break;
    }
    return set_member(flags, flag, json_boolean(number), from, error);
}

static enum err set_flag(struct flags *flags, const struct flag *flag, const char *from,
                         const char *value, struct error *error)
{
    void *at = (char *)flags + flag->at;
    int64_t number = 0;
    enum err e = OK;
    if (flag->type == FLAG_NUMBER)
        e = read_number(flag, from, value, &number, error);
    else if (flag->type == FLAG_SWITCH)
        e = read_switch(from, value, &number, error);
    if (e)
        return e;
    if (flag->type != FLAG_SWITCH || number)
        flags->given |= UINT64_C(1) << (flag - table);
    if (flag->kind)
        return set_in_entry(flags, flag, from, value, number, error);
    if (flag->type == FLAG_TEXT || flag->type == FLAG_SECRET)
        memcpy(at, &value, sizeof value);
    else
        memcpy(at, &number, sizeof number);
    return OK;
}

/* A secret's value, from the argument list to where only we can read it. */
static enum err hide(struct flags *flags, const struct flag *flag, char *value, struct error *error)
{
    if (setenv(flag->variable, value, 1) < 0)
        return fail_nomem(error);
    explicit_bzero(value, strlen(value));
    flags->secret_shown = flag->name;
    return OK;
}

/* The value of a variable; NULL or "" if it has none.  What a backend needs stays for that
 * backend's engine. */
static enum err value_of(struct flags *flags, const struct flag *flag, const char **ret,
                         struct error *error)
{
    if (flag->type == FLAG_SECRET && !flag->kind)
        return secrets_take(flags->secrets, flag->variable, ret, error);
    *ret = getenv(flag->variable);
    return OK;
}

/* --- from where ------------------------------------------------------------- */

static enum err read_environment(struct flags *flags, struct error *error)
{
    enum err e = OK;
    for (size_t i = 0; !e && i < ARRAY_LEN(table); i++) {
        const char *value;
        e = value_of(flags, &table[i], &value, error);
        if (!e && value && value[0])
            e = set_flag(flags, &table[i], table[i].variable, value, error);
    }
    return e;
}

static enum err take_option(struct flags *flags, const struct flag *flag, char *value,
                            struct error *error)
{
    char from[64];
    snprintf(from, sizeof from, "--%s", flag->name);
    const char *given = flag->type == FLAG_SWITCH ? "true" : value;
    enum err e = OK;
    if (flag->type == FLAG_SECRET)
        e = hide(flags, flag, value, error);
    if (!e && flag->type == FLAG_SECRET)
        e = value_of(flags, flag, &given, error);
    return e ? e : set_flag(flags, flag, from, given, error);
}

static enum err unknown_option(const char *given, struct error *error)
{
    const char *names[ARRAY_LEN(table)];
    char word[32];
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        names[i] = table[i].name;
    const char *from = given + strspn(given, "-");
    snprintf(word, sizeof word, "%.*s", (int)strcspn(from, "="), from);
    const char *meant = nearest(word, names, ARRAY_LEN(names));
    return fail(error, ERR_INVALID_REQUEST, "unknown option '%.80s'%s%s%s", given,
                meant ? "; did you mean '--" : "", meant ? meant : "", meant ? "'?" : "");
}

enum { N_ACTIONS = 3 };

/* The table as getopt has it, ended by an empty row. */
static void list_options(struct option options[ARRAY_LEN(table) + N_ACTIONS + 1])
{
    static const struct option actions[N_ACTIONS] = {
        { "help", no_argument, NULL, OPTION_HELP },
        { "version", no_argument, NULL, OPTION_VERSION },
        { "check-config", no_argument, NULL, OPTION_CHECK },
    };
    memcpy(options, actions, sizeof actions);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        bool bare = table[i].type == FLAG_SWITCH;
        options[N_ACTIONS + i] =
            (struct option){ table[i].name, bare ? no_argument : required_argument, NULL,
                             FIRST_FLAG + (int)i };
    }
}

static enum err take_choice(struct flags *flags, int choice, const char *given, struct error *error)
{
    switch (choice) {
    case OPTION_HELP:
        flags->action = FLAGS_HELP;
        return OK;
    case OPTION_VERSION:
        flags->action = FLAGS_VERSION;
        return OK;
    case OPTION_CHECK:
        flags->action = FLAGS_CHECK;
        return OK;
    case ':':
        return fail(error, ERR_INVALID_REQUEST, "%s needs a value", given);
    case '?':
        return unknown_option(given, error);
    default:
        return take_option(flags, &table[choice - FIRST_FLAG], optarg, error);
    }
}

static enum err read_arguments(int argc, char **argv, struct flags *flags, struct error *error)
{
    struct option options[ARRAY_LEN(table) + N_ACTIONS + 1] = { 0 };
    int choice;
    enum err e = OK;
    list_options(options);
    opterr = 0;
    optind = 1;
    while (!e && (choice = getopt_long(argc, argv, ":hV", options, NULL)) != -1) {
        e = take_choice(flags, choice, argv[optind - 1], error);
        if (flags->action == FLAGS_HELP || flags->action == FLAGS_VERSION)
            return e; /* what stands behind does not matter */
    }
    if (!e && optind < argc)
        return fail(error, ERR_INVALID_REQUEST, "unexpected argument '%.80s'", argv[optind]);
    return e;
}

static bool make_kinds(struct flags *flags)
{
    flags->kinds = json_object();
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].kind && !json_object_get(flags->kinds, table[i].kind) &&
            json_object_set_new(flags->kinds, table[i].kind, json_object()) < 0)
            return false;
    return flags->kinds != NULL;
}

enum err flags_read(int argc, char **argv, struct flags *ret, struct error *error)
{
    *ret = (struct flags){ .action = FLAGS_RUN };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        int64_t absent = FLAG_ABSENT;
        if (!table[i].kind && (table[i].type == FLAG_NUMBER || table[i].type == FLAG_SWITCH))
            memcpy((char *)ret + table[i].at, &absent, sizeof absent);
    }
    ret->secrets = calloc(1, sizeof(struct secrets *));
    if (!make_kinds(ret) || !ret->secrets)
        return fail_nomem(error);
    enum err e = read_environment(ret, error);
    return e ? e : read_arguments(argc, argv, ret, error);
}

void flags_done(struct flags *flags)
{
    json_decref(flags->kinds);
    flags->kinds = NULL;
    if (flags->secrets)
        secrets_free(*flags->secrets);
    free(flags->secrets);
    flags->secrets = NULL;
}

json_t *flags_of_kind(const struct flags *flags, const char *kind)
{
    return json_object_get(flags->kinds, kind);
}

bool flags_next_given(const struct flags *flags, size_t *at, struct given_flag *ret)
{
    while (*at < ARRAY_LEN(table)) {
        const struct flag *f = &table[*at];
        if (!(flags->given & UINT64_C(1) << (*at)++))
            continue;
        *ret = (struct given_flag){ f->name, f->variable, f->kind, f->key };
        return true;
    }
    return false;
}

/* --- help ------------------------------------------------------------------- */

/* The help of a flag, further lines indented below the first. */
static void print_help_text(const char *text)
{
    for (; *text; text++) {
        putchar(*text);
        if (*text == '\n')
            printf("%34s", "");
    }
    putchar('\n');
}

void flags_print_help(void)
{
    printf("usage: inferd-daemon [OPTION]...\n"
           "\n"
           "Keeps one model warm and serves it to the programs of this machine over Unix\n"
           "sockets.  Runs in the foreground; SIGTERM or SIGINT ends it in order, SIGHUP makes\n"
           "it read its configuration again.\n"
           "\n");
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char head[48];
        if (!table[i].help)
            continue;
        snprintf(head, sizeof head, "--%s %s", table[i].name, table[i].value);
        printf("  %-31s ", head);
        print_help_text(table[i].help);
    }
    printf("  %-31s say what would be started, or what is wrong, and end\n", "--check-config");
    printf("  %-31s this text\n", "-h, --help");
    printf("  %-31s the version\n", "-V, --version");
    printf("\nEvery option may come from the environment instead, as INFERD_ and its name in\n"
           "capitals: INFERD_QUEUE_DEPTH=20.\n"
           "\n"
           "Exit codes: 0 ended in order, 1 could not start or go on, 2 wrong usage.\n");
}
