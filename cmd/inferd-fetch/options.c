/*
 * options.c - see options.h.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "store/name.h"

enum {
    DEFAULT_CONNECTIONS = 4,
    DEFAULT_RETRIES = 8,
    DEFAULT_STALL_SECS = 15,
};

enum flag {
    FLAG_STORE = 256, /* beyond any character's number */
    FLAG_NAME,
    FLAG_SHA256,
    FLAG_URL,
    FLAG_SIZE,
    FLAG_LICENSE,
    FLAG_CONNECTIONS,
    FLAG_LIMIT_RATE,
    FLAG_RETRIES,
    FLAG_STALL,
    FLAG_WAIT,
    FLAG_OFFLINE,
    FLAG_HEADER_ENV,
    FLAG_ADOPT_DIR,
    FLAG_HELP,
    FLAG_VERSION,
};

static const struct option flags[] = {
    { "store", required_argument, NULL, FLAG_STORE },
    { "name", required_argument, NULL, FLAG_NAME },
    { "sha256", required_argument, NULL, FLAG_SHA256 },
    { "url", required_argument, NULL, FLAG_URL },
    { "size", required_argument, NULL, FLAG_SIZE },
    { "license", required_argument, NULL, FLAG_LICENSE },
    { "connections", required_argument, NULL, FLAG_CONNECTIONS },
    { "limit-rate", required_argument, NULL, FLAG_LIMIT_RATE },
    { "retries", required_argument, NULL, FLAG_RETRIES },
    { "stall-seconds", required_argument, NULL, FLAG_STALL },
    { "wait", no_argument, NULL, FLAG_WAIT },
    { "offline", no_argument, NULL, FLAG_OFFLINE },
    { "header-env", required_argument, NULL, FLAG_HEADER_ENV },
    { "adopt-dir", required_argument, NULL, FLAG_ADOPT_DIR },
    { "help", no_argument, NULL, FLAG_HELP },
    { "version", no_argument, NULL, FLAG_VERSION },
    { NULL, 0, NULL, 0 },
};

static const char help[] =
    "usage: inferd-fetch --name NAME --sha256 HEX [--url URL] [options]\n"
    "\n"
    "Makes one model present in the store and ends; prints progress as JSON lines.\n"
    "\n"
    "  --store DIR          the store (default $MODELS_HOME, else $XDG_DATA_HOME/models,\n"
    "                       else ~/.local/share/models)\n"
    "  --name NAME          what the model is called\n"
    "  --sha256 HEX         the digest of its bytes, 64 lower-case digits\n"
    "  --url URL            where it is; https only\n"
    "  --size BYTES         refuse a file of another size before its first byte\n"
    "  --license TEXT       for the manifest\n"
    "  --connections N      ranges at a time, 1 to 8 (default 4)\n"
    "  --limit-rate BYTES   per second, all connections together\n"
    "  --retries N          failures in a row without progress (default 8)\n"
    "  --stall-seconds N    dial again when nothing arrives for so long (default 15)\n"
    "  --wait               wait for another process that fetches the same model\n"
    "  --offline            do with what this machine has\n"
    "  --header-env NAME    send the header line that this variable holds to the URL's host;\n"
    "                       may be repeated\n"
    "  --adopt-dir DIR      look there for a file of this digest, too; may be repeated\n"
    "  --help, --version\n"
    "\n"
    "HF_TOKEN is sent to huggingface.co; INFERD_CA_FILE replaces the system's authorities.\n";

static enum outcome number(const char *flag, const char *text, uint64_t lowest, uint64_t highest,
                           uint64_t *ret, struct error *error)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || n < lowest || n > highest)
        return give_up(error, USAGE, "%s is '%.80s'; it must be a whole number from %llu to %llu",
                       flag, text, (unsigned long long)lowest, (unsigned long long)highest);
    *ret = n;
    return PRESENT;
}

static enum outcome count(const char *flag, const char *text, unsigned lowest, unsigned highest,
                          unsigned *ret, struct error *error)
{
    uint64_t n;
    enum outcome o = number(flag, text, lowest, highest, &n, error);
    if (!o)
        *ret = (unsigned)n;
    return o;
}

/* --- headers ---------------------------------------------------------------- */

/* What we say ourselves; a second word on it would break the rules of the download. */
static bool ours(const char *line, size_t len)
{
    static const char *const names[] = {
        "range",      "if-range", "accept-encoding", "host", "content-length", "transfer-encoding",
        "connection", "te",       "expect"
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strlen(names[i]) == len && strncasecmp(names[i], line, len) == 0)
            return true;
    return false;
}

/* The value of the variable is a secret: no sentence holds a piece of it. */
static enum outcome add_header(struct options *o, const char *variable, struct error *error)
{
    const char *line = getenv(variable);
    if (!line || !line[0])
        return give_up(error, USAGE, "--header-env %.80s: there is no such variable", variable);
    size_t name = strspn(line, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
    if (name == 0 || line[name] != ':' || strpbrk(line, "\r\n"))
        return give_up(error, USAGE,
                       "--header-env %.80s: the variable must hold one line \"Name: value\"",
                       variable);
    if (ours(line, name))
        return give_up(error, USAGE, "--header-env %.80s: %.*s is not for others to set", variable,
                       (int)name, line);
    if (o->n_headers == HEADERS_MAX)
        return give_up(error, USAGE, "--header-env may be given %d times", HEADERS_MAX);
    o->headers[o->n_headers++] = line;
    return PRESENT;
}

static enum outcome add_adopt_dir(struct options *o, const char *dir, struct error *error)
{
    for (size_t i = 0; i < ADOPT_DIRS_MAX; i++) {
        if (!o->adopt_dirs[i]) {
            o->adopt_dirs[i] = dir;
            return PRESENT;
        }
    }
    return give_up(error, USAGE, "--adopt-dir may be given %d times", ADOPT_DIRS_MAX);
}

/* --- all of it -------------------------------------------------------------- */

static enum outcome set(struct options *o, int flag, const char *value, struct error *error)
{
    switch (flag) {
    case FLAG_STORE:
        o->store = value;
        return PRESENT;
    case FLAG_NAME:
        o->name = value;
        return outcome_of(model_name_check(value, strlen(value), error));
    case FLAG_SHA256:
        return outcome_of(digest_read(value, strlen(value), &o->digest, error));
    case FLAG_URL:
        o->url = value[0] ? value : NULL;
        return PRESENT;
    case FLAG_SIZE:
        return number("--size", value, 1, INT64_MAX / 2, &o->size, error);
    case FLAG_LICENSE:
        o->license = value;
        return PRESENT;
    case FLAG_CONNECTIONS:
        return count("--connections", value, 1, CONNECTIONS_MAX, &o->connections, error);
    case FLAG_LIMIT_RATE:
        return number("--limit-rate", value, 1, INT64_MAX / 2, &o->limit_rate, error);
    case FLAG_RETRIES:
        return count("--retries", value, 0, 1000, &o->retries, error);
    case FLAG_STALL:
        return count("--stall-seconds", value, 1, 3600, &o->stall_secs, error);
    case FLAG_WAIT:
        o->wait = true;
        return PRESENT;
    case FLAG_OFFLINE:
        o->offline = true;
        return PRESENT;
    case FLAG_HEADER_ENV:
        return add_header(o, value, error);
    case FLAG_ADOPT_DIR:
        return add_adopt_dir(o, value, error);
    default:
        return give_up(error, USAGE, "unknown option");
    }
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

enum outcome options_read(int argc, char **argv, struct options *ret, bool *ret_end,
                          struct error *error)
{
    struct options o = { .connections = DEFAULT_CONNECTIONS,
                         .retries = DEFAULT_RETRIES,
                         .stall_secs = DEFAULT_STALL_SECS,
                         .ca_file = variable("INFERD_CA_FILE"),
                         .hf_token = variable("HF_TOKEN") };
    int flag;
    opterr = 0;
    while ((flag = getopt_long(argc, argv, "", flags, NULL)) != -1) {
        if (flag == FLAG_HELP || flag == FLAG_VERSION) {
            fputs(flag == FLAG_HELP ? help : "inferd-fetch " INFERD_VERSION "\n", stdout);
            *ret_end = true;
            return fflush(stdout) == 0 ? PRESENT : IO;
        }
        if (flag == '?')
            return give_up(error, USAGE, "'%.80s' is unknown or lacks its value; try --help",
                           argv[optind - 1]);
        enum outcome bad = set(&o, flag, optarg, error);
        if (bad)
            return bad;
    }
    if (optind < argc)
        return give_up(error, USAGE, "'%.80s' is one argument too many", argv[optind]);
    if (!o.name || !o.digest.hex[0])
        return give_up(error, USAGE, "--name and --sha256 are needed; try --help");
    if (o.hf_token && strpbrk(o.hf_token, "\r\n"))
        return give_up(error, USAGE, "HF_TOKEN must be one line");
    *ret = o;
    *ret_end = false;
    return PRESENT;
}
