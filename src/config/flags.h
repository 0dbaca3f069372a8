/*
 * flags.h - the command line and the environment, before they are a configuration.
 *
 * Texts are borrowed from either and live as long as the program.  A secret is moved from
 * the argument list, which everybody on the machine can read, to the environment, and from
 * there, where it is nobody's but ours, to `secrets`.
 */
#pragma once

#include "base/json.h"
#include "config/secret.h"

/* What the command line asks for. */
enum flags_action { FLAGS_RUN, FLAGS_CHECK, FLAGS_HELP, FLAGS_VERSION };

/* A number or a switch that nobody gave. */
#define FLAG_ABSENT INT64_MIN

struct flags {
    enum flags_action action;
    const char *config, *backend, *model_path;
    const char *runtime_dir, *lock, *group;
    const char *uds, *v2, *v2_blob, *embed, *rerank, *admin; /* paths of sockets */
    const char *tcp, *tcp_v2, *tcp_embed, *api_key, *api_key_file;
    const char *allow_uids, *allow_gids; /* numbers with commas between them */
    const char *log_level, *log_dir;
    int64_t v2_on, embed_on, rerank_on, tcp_without_key; /* 0 or 1 */
    int64_t active_permits, queue_depth, idle_unload_secs;
    int64_t connections_per_caller;
    int64_t ready_timeout_secs, drain_timeout_secs, write_timeout_secs, read_timeout_secs;
    const char *secret_shown; /* the option of a secret that stood on the command line */
    struct secrets **secrets; /* what was taken from the environment; owned, and never NULL */
    uint64_t given;           /* which, by bits; see flags_next_given() */
    json_t *kinds;            /* by kind, what options say of its backend; owned */
};

/* `*ret` is to be ended with flags_done() whatever comes of it.
 * ERR_INVALID_REQUEST: what is wrong, in the words of whoever typed it. */
enum err flags_read(int argc, char **argv, struct flags *ret, struct error *error) MUST_USE;
void flags_done(struct flags *flags);

/* What options say of a backend of that kind, as an entry would; borrowed, perhaps empty. */
json_t *flags_of_kind(const struct flags *flags, const char *kind);

/* An option that was given, on the command line or by its variable. */
struct given_flag {
    const char *name;     /* "n-ctx" */
    const char *variable; /* "INFERD_N_CTX" */
    const char *kind;     /* of the backend that it is about; NULL: none */
    const char *key;      /* in that backend's entry */
};

/* The next of them, beginning with `*at` 0; false: there are no more.  A switch that is off
 * is as if it had not been given. */
bool flags_next_given(const struct flags *flags, size_t *at, struct given_flag *ret);

/* The help text, to standard output. */
void flags_print_help(void);
