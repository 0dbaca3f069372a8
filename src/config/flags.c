/*
 * flags.c - the command line and the environment, one table.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"

enum flag_type { FLAG_TEXT, FLAG_NUMBER };

static const struct flag {
    const char *name;
    const char *variable;
    const char *value; /* how help calls the value */
    const char *help;
    enum flag_type type;
    size_t at; /* in struct flags */
    int64_t lowest, highest;
} table[] = {
#define TEXT(name, variable, value, field, help)                                                   \
    {                                                                                              \
        name, variable, value, help, FLAG_TEXT, offsetof(struct flags, field), 0, 0                \
    }
#define NUMBER(name, variable, field, lowest, highest, help)                                       \
    {                                                                                              \
        name, variable, "N", help, FLAG_NUMBER, offsetof(struct flags, field), lowest, highest     \
    }
    TEXT("config", "INFERD_CONFIG", "FILE", config, "the configuration file"),
    TEXT("backend", "INFERD_BACKEND", "KIND", backend,
         "serve this one backend instead of a file's: mock or llamacpp"),
    TEXT("model-path", "INFERD_MODEL_PATH", "FILE", model_path, "the model of --backend llamacpp"),
    TEXT("model-sha256", "INFERD_MODEL_SHA256", "HEX", model_sha256,
         "its SHA-256, which is checked before anything reads it"),
    NUMBER("n-ctx", "INFERD_N_CTX", n_ctx, 1, INT32_MAX,
           "tokens of context per request (default 8192)"),
    NUMBER("n-gpu-layers", "INFERD_N_GPU_LAYERS", n_gpu_layers, 0, INT32_MAX,
           "layers to keep on a GPU (default 0)"),
    TEXT("runtime-dir", "INFERD_RUNTIME_DIR", "DIR", runtime_dir,
         "where the sockets and the lock lie (default $XDG_RUNTIME_DIR/inferd, else\n"
         "~/.inferd/run, else /tmp/inferd-UID)"),
    TEXT("lock", "INFERD_LOCK", "PATH", lock, "the lock (default inferd.lock there)"),
    TEXT("uds", "INFERD_UDS", "PATH", uds, "the generation socket (default infer.sock there)"),
    TEXT("admin-addr", "INFERD_ADMIN_ADDR", "PATH", admin_addr,
         "the admin socket (default admin.sock there)"),
    TEXT("group", "INFERD_GROUP", "NAME", group, "the group that may use the generation socket"),
    NUMBER("active-permits", "INFERD_ACTIVE_PERMITS", active_permits, 1, 1024,
           "requests that run at a time per backend (default 1)"),
    NUMBER("queue-depth", "INFERD_QUEUE_DEPTH", queue_depth, 0, 1000000,
           "requests that wait beyond those (default 10)"),
    NUMBER("ready-timeout-secs", "INFERD_READY_TIMEOUT_SECS", ready_timeout_secs, 1, 86400,
           "give an engine up that shows no progress in loading for so long (default 30)"),
    NUMBER("drain-timeout-secs", "INFERD_DRAIN_TIMEOUT_SECS", drain_timeout_secs, 0, 86400,
           "let running requests go on for so long after SIGTERM (default 8)"),
#undef TEXT
#undef NUMBER
};

enum { FIRST_FLAG = 256 }; /* option numbers beyond any character's */

static enum err set_flag(struct flags *flags, const struct flag *flag, const char *from,
                         const char *value, struct error *error)
{
    void *at = (char *)flags + flag->at;
    if (flag->type == FLAG_TEXT) {
        memcpy(at, &value, sizeof value);
        return OK;
    }
    char *end;
    errno = 0;
    long long n = strtoll(value, &end, 10);
    if (errno || end == value || *end)
        return fail(error, ERR_INVALID_REQUEST, "%s: '%.80s' is not a whole number", from, value);
    if (n < flag->lowest || n > flag->highest)
        return fail(error, ERR_INVALID_REQUEST, "%s is %lld; it must be from %lld to %lld", from, n,
                    (long long)flag->lowest, (long long)flag->highest);
    int64_t number = n;
    memcpy(at, &number, sizeof number);
    return OK;
}

static enum err read_environment(struct flags *flags, struct error *error)
{
    enum err e = OK;
    for (size_t i = 0; !e && i < ARRAY_LEN(table); i++) {
        const char *value = getenv(table[i].variable);
        if (value && value[0])
            e = set_flag(flags, &table[i], table[i].variable, value, error);
    }
    return e;
}

static enum err read_arguments(int argc, char **argv, struct flags *flags, struct error *error)
{
    struct option options[ARRAY_LEN(table) + 3] = {
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        options[i + 2] =
            (struct option){ table[i].name, required_argument, NULL, FIRST_FLAG + (int)i };

    int choice;
    opterr = 0;
    optind = 1;
    while ((choice = getopt_long(argc, argv, ":hV", options, NULL)) != -1) {
        if (choice == 'h' || choice == 'V') {
            flags->action = choice == 'h' ? CONFIG_HELP : CONFIG_VERSION;
            return OK;
        }
        if (choice == ':')
            return fail(error, ERR_INVALID_REQUEST, "%s needs a value", argv[optind - 1]);
        if (choice == '?')
            return fail(error, ERR_INVALID_REQUEST, "unknown option '%.80s'", argv[optind - 1]);
        const struct flag *flag = &table[choice - FIRST_FLAG];
        char from[64];
        snprintf(from, sizeof from, "--%s", flag->name);
        enum err e = set_flag(flags, flag, from, optarg, error);
        if (e)
            return e;
    }
    if (optind < argc)
        return fail(error, ERR_INVALID_REQUEST, "unexpected argument '%.80s'", argv[optind]);
    return OK;
}

enum err flags_read(int argc, char **argv, struct flags *ret, struct error *error)
{
    struct flags flags = {
        .active_permits = -1,
        .queue_depth = -1,
        .ready_timeout_secs = -1,
        .drain_timeout_secs = -1,
        .n_ctx = -1,
        .n_gpu_layers = -1,
    };
    enum err e = read_environment(&flags, error);
    if (!e)
        e = read_arguments(argc, argv, &flags, error);
    if (!e)
        *ret = flags;
    return e;
}

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

void config_print_help(void)
{
    printf("usage: inferd-daemon [OPTION]...\n"
           "\n"
           "Keeps one model warm and serves it to the programs of this machine over Unix\n"
           "sockets.  Runs in the foreground; SIGTERM or SIGINT ends it in order.\n"
           "\n");
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char head[40];
        snprintf(head, sizeof head, "--%s %s", table[i].name, table[i].value);
        printf("  %-31s ", head);
        print_help_text(table[i].help);
    }
    printf("  %-31s this text\n", "-h, --help");
    printf("  %-31s the version\n", "-V, --version");
    printf("\nEvery option may come from the environment instead, as INFERD_ and its name in\n"
           "capitals: INFERD_QUEUE_DEPTH=20.\n"
           "\n"
           "Exit codes: 0 ended in order, 1 could not start or go on, 2 wrong usage.\n");
}
