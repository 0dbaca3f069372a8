/*
 * inferd-load - ask a server the same thing very often, and measure.
 *
 *     inferd-load --socket /run/inferd/infer.sock --connections 50 --seconds 10
 *
 * The same program measures whatever it is compared with (`--protocol`), so that the
 * measuring is the same on both sides.  Every request must end with exactly one
 * terminal frame of its own; one that does not makes the exit code 1.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "swarm.h"

enum {
    EXIT_LOST = 1, /* or mixed up; also if there is no server */
    EXIT_USAGE = 2,
    TEXT_MAX = 64 * 1024,
};

static const char usage[] =
    "usage: inferd-load --socket PATH [options]\n"
    "\n"
    "  --socket PATH      the server's Unix socket\n"
    "  --protocol NAME    v1 (default), redis, which sends PING, or openai: chat\n"
    "                     completions over HTTP\n"
    "  --connections N    clients, each with one request at a time (default 1)\n"
    "  --reconnect        each request on a connection of its own\n"
    "  --requests N       end after so many requests in all (default 10000)\n"
    "  --seconds N        end after so many seconds instead\n"
    "  --bytes N          length of a request's prompt (default 64)\n"
    "  --words N          so many words of its own instead\n"
    "  --system-words N   and a system prompt of so many before them\n"
    "  --systems N        of which N take turns (default 1)\n"
    "  --salt N           another number asks for other words (default 0)\n"
    "  --max-tokens N     what a request asks for (default 16)\n"
    "  --settle-ms N      gaps so early in an answer do not count: others may only begin\n"
    "                     (default 0)\n"
    "  --patience N       seconds of silence after which nothing will come (default 30)\n"
    "  --json             one JSON object instead of a line\n"
    "  --help\n"
    "\n"
    "Exit codes: 0 every request ended with one terminal frame, 1 one did not or there\n"
    "is no server, 2 wrong usage.\n";

static const struct protocol *const protocols[] = { &protocol_v1, &protocol_redis,
                                                    &protocol_openai };

struct options {
    const char *socket;
    const struct protocol *protocol;
    bool json;
    bool reconnect;
    bool help;
    int64_t connections, requests, seconds, max_tokens, patience;
    int64_t bytes, words, system_words, systems, salt, settle_ms;
};

/* --- the command line ------------------------------------------------------------ */

enum flag_type { FLAG_PROTOCOL, FLAG_SOCKET, FLAG_JSON, FLAG_RECONNECT, FLAG_HELP, FLAG_NUMBER };

static const struct flag {
    const char *name;
    enum flag_type type;
    size_t at; /* NUMBER: in struct options, and its range */
    int64_t lowest, highest;
} flags[] = {
#define NUMBER(name, field, lowest, highest)                                                       \
    {                                                                                              \
        name, FLAG_NUMBER, offsetof(struct options, field), lowest, highest                        \
    }
    { "socket", FLAG_SOCKET, 0, 0, 0 },
    { "protocol", FLAG_PROTOCOL, 0, 0, 0 },
    { "json", FLAG_JSON, 0, 0, 0 },
    { "reconnect", FLAG_RECONNECT, 0, 0, 0 },
    { "help", FLAG_HELP, 0, 0, 0 },
    NUMBER("connections", connections, 1, CONNECTIONS_MAX),
    NUMBER("requests", requests, 1, UINT32_MAX),
    NUMBER("seconds", seconds, 1, 86400),
    NUMBER("bytes", bytes, 0, 64 * 1024 * 1024),
    NUMBER("words", words, 1, 1024 * 1024),
    NUMBER("system-words", system_words, 1, 1024 * 1024),
    NUMBER("systems", systems, 1, 1024 * 1024),
    NUMBER("salt", salt, 0, INT64_MAX),
    NUMBER("max-tokens", max_tokens, 1, INT32_MAX),
    NUMBER("settle-ms", settle_ms, 0, 86400000),
    NUMBER("patience", patience, 1, 86400),
#undef NUMBER
};

static enum err read_number(const struct flag *flag, const char *text, struct options *ret,
                            struct error *error)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || end == text || *end || n < flag->lowest || n > flag->highest)
        return fail(error, ERR_CONFIG, "--%s is '%.80s'; it must be a number from %lld to %lld",
                    flag->name, text, (long long)flag->lowest, (long long)flag->highest);
    *(int64_t *)((char *)ret + flag->at) = n;
    return OK;
}

static enum err read_protocol(const char *name, struct options *ret, struct error *error)
{
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
        if (strcmp(protocols[i]->name, name) == 0) {
            ret->protocol = protocols[i];
            return OK;
        }
    }
    return fail(error, ERR_CONFIG, "--protocol is '%.80s'; it must be v1, redis or openai", name);
}

static enum err read_flag(const struct flag *flag, const char *value, struct options *ret,
                          struct error *error)
{
    switch (flag->type) {
    case FLAG_SOCKET:
        ret->socket = value;
        return OK;
    case FLAG_JSON:
        ret->json = true;
        return OK;
    case FLAG_RECONNECT:
        ret->reconnect = true;
        return OK;
    case FLAG_HELP:
        ret->help = true;
        return OK;
    case FLAG_PROTOCOL:
        return read_protocol(value, ret, error);
    case FLAG_NUMBER:
        break;
    }
    return read_number(flag, value, ret, error);
}

static enum err read_options(int argc, char **argv, struct options *ret, struct error *error)
{
    struct option table[ARRAY_LEN(flags) + 1] = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        enum flag_type type = flags[i].type;
        bool bare = type == FLAG_JSON || type == FLAG_RECONNECT || type == FLAG_HELP;
        table[i].name = flags[i].name;
        table[i].has_arg = bare ? no_argument : required_argument;
    }
    int choice, index = 0;
    enum err e = OK;
    opterr = 0;
    while (!e && (choice = getopt_long(argc, argv, ":", table, &index)) != -1) {
        if (choice != 0)
            return fail(error, ERR_CONFIG, "%s '%.80s'",
                        choice == ':' ? "a value is missing after" : "unknown option",
                        argv[optind - 1]);
        e = read_flag(&flags[index], optarg, ret, error);
    }
    if (!e && optind < argc)
        e = fail(error, ERR_CONFIG, "unexpected argument '%.80s'", argv[optind]);
    if (!e && !ret->socket && !ret->help)
        e = fail(error, ERR_CONFIG, "--socket is missing");
    return e;
}

/* --- the program ----------------------------------------------------------------- */

static enum err print(struct tally *t, const struct options *o, struct error *error)
{
    struct run run = {
        .protocol = o->protocol->name,
        .connections = (unsigned)o->connections,
        .prompt_bytes = (unsigned)o->bytes,
        .max_tokens = (unsigned)o->max_tokens,
    };
    struct buf text;
    buf_init(&text, TEXT_MAX);
    enum err e = o->json ? tally_put_json(t, &run, &text) : tally_put_text(t, &run, &text);
    if (e)
        fail(error, e, "the figures could not be put into words");
    else if (!write_all(STDOUT_FILENO, text.at, text.len))
        e = fail_sys(error, "cannot write the figures");
    buf_done(&text);
    return e;
}

static int measure(const struct options *o)
{
    struct plan plan = {
        .protocol = o->protocol,
        .shape = { .prompt_bytes = (uint32_t)o->bytes,
                   .words = (uint32_t)o->words,
                   .system_words = (uint32_t)o->system_words,
                   .systems = (uint32_t)o->systems,
                   .salt = (uint64_t)o->salt,
                   .max_tokens = (uint32_t)o->max_tokens },
        .socket = o->socket,
        .connections = (unsigned)o->connections,
        .reconnect = o->reconnect,
        .requests = o->seconds ? 0 : (uint64_t)o->requests,
        .duration_ns = o->seconds * 1000000000,
        .settle_ns = o->settle_ms * 1000000,
        .patience_ms = (int)o->patience * 1000,
    };
    struct tally tally;
    struct error error;
    enum err e = swarm_run(&plan, &tally, &error);
    if (!e)
        e = print(&tally, o, &error);
    if (e)
        log_error("%s", error.message);
    else if (tally.fault.code)
        log_error("%s", tally.fault.message);
    bool sound = !e && !tally.lost && !tally.mixed_up;
    tally_done(&tally);
    return sound ? EXIT_SUCCESS : EXIT_LOST;
}

int main(int argc, char **argv)
{
    struct options options = {
        .protocol = &protocol_v1,
        .connections = 1,
        .requests = 10000,
        .bytes = 64,
        .systems = 1,
        .max_tokens = 16,
        .patience = 30,
    };
    struct error error;
    log_init("inferd-load", LOG_INFO);
    if (read_options(argc, argv, &options, &error)) {
        log_error("%s", error.message);
        return EXIT_USAGE;
    }
    if (options.help)
        return write_all(STDOUT_FILENO, usage, sizeof usage - 1) ? EXIT_SUCCESS : EXIT_FAILURE;
    return measure(&options);
}
