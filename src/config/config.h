/*
 * config.h - what the daemon is told to be.
 *
 *     flags_read(argc, argv, &flags, &error);        once
 *     config_read(&flags, &config, &findings, &error);  and again whenever the file changed
 *     ...
 *     config_done(&config);
 *
 * A setting comes from the command line, else from the environment, else from the
 * configuration file, else it has its default.  The options and their variables are
 * one table in flags.c; what a file may hold are the tables in keys.c.
 */
#pragma once

#include "base/json.h"
#include "config/findings.h"
#include "config/flags.h"
#include "config/source.h"

/* A kind of backend: what a configuration calls it and which program it is. */
struct key; /* keys.h */
struct backend_kind {
    const char *name;       /* "llamacpp" */
    const char *program;    /* "inferd-engine-llama" */
    bool has_model;         /* it needs `model`, or `path` and `sha256` */
    const struct key *keys; /* what its entry may hold; see keys.h */
};

/* NULL if there is none of that name. */
const struct backend_kind *backend_kind_find(const char *name);

/* Why that key of an entry has no effect; NULL: it has one.  keys.c */
const char *backend_key_unused(const struct backend_kind *kind, const char *key);

/* The name of the kind that was meant; NULL if none is near. */
const char *backend_kind_nearest(const char *name);

struct backend_config {
    char *name;
    const struct backend_kind *kind;
    uint32_t slots;
    uint32_t idle_unload_secs; /* end the engine when unused for so long; 0: never */
    uint32_t memory_limit_mib; /* of the engine's process; 0: none */
    char *path;                /* of a model file outside of the store; else NULL */
    char *model_name;          /* of a model in the store; else NULL */
    char *sha256;     /* of either: 64 lower-case hex digits; NULL where the kind has no model */
    char *source_url; /* https://...; "" or NULL: the model is never fetched */
    char *license;    /* NULL: none given */
    uint64_t size;    /* of the model in bytes; 0: not given */
    json_t *options;  /* the entry as it stands, for the engine */
};

/* Who may connect beside the daemon's own user and root, if the list is not empty. */
struct id_list {
    uint32_t *at;
    size_t n;
};

struct config {
    char *file; /* that was read; NULL: none */

    uint32_t idle_unload_secs; /* of backends that say nothing of it */

    /* What can't change while the daemon runs. */
    char *runtime_dir;
    char *lock_path;
    char *admin_path;
    char *infer_path;               /* the v1 generation socket; NULL: not listened on */
    char *v2_path, *v2_blob_path;   /* likewise, of the v2 wires */
    char *embed_path, *rerank_path; /* likewise */
    char *tcp, *tcp_v2, *tcp_embed; /* loopback "ADDRESS:PORT"; NULL: not listened on */
    char *api_key;                  /* that TCP clients begin with; NULL: none */
    bool tcp_without_key;           /* TCP may do without */
    char *group;                    /* of the sockets; NULL: the daemon's own */
    char *log_dir;                  /* of the activity log */

    char *log_level; /* "info", "debug,activity=info", ... */
    struct id_list allow_uids, allow_gids;
    uint32_t active_permits;
    uint32_t queue_depth;
    uint32_t connections_per_caller;
    uint32_t ready_timeout_secs;
    uint32_t drain_timeout_secs;
    uint32_t write_timeout_secs; /* of a client that takes no byte; 0: no limit */
    uint32_t read_timeout_secs;  /* of one that leaves a request half sent */
    char *models_home;           /* where the store is; NULL: where it usually is */
    bool auto_pull;              /* fetch what is missing */
    struct backend_config *backends;
    size_t n_backends;
    bool one_llamacpp; /* there is one backend, and options about llamacpp count for it */
    bool builtin;      /* nobody named a model: the only backend is the one that ships */
};

/*
 * Everything from everywhere.  `*config` is to be ended with config_done() whatever
 * comes of it, and keeps nothing of `flags`.  What is to be said about the file, wrong or
 * merely not followed, is added to `findings`, all of it.
 *
 * ERR_INVALID_REQUEST  the command line makes no sense (exit code 2)
 * ERR_CONFIG           a file or a value does not; `error` is the first finding of those
 * ERR_SYSTEM, ERR_NO_MEMORY
 */
enum err config_read(const struct flags *flags, struct config *config, struct findings *findings,
                     struct error *error) MUST_USE;
void config_done(struct config *config);

/* The first setting in which the two differ and which can't change while the daemon runs,
 * in the words of a configuration file; NULL if there is none.  Begin with `*at` 0, and call
 * again for the next. */
const char *config_fixed_change(const struct config *running, const struct config *wanted,
                                size_t *at);

/* Let `wanted` have those settings as `running` has them, which gets the other's. */
void config_keep_fixed(struct config *wanted, struct config *running);

/* The label of the backend that serves the model that ships; no other may have it. */
#define BUILTIN_BACKEND "builtin"

/* --- between the files of this folder --------------------------------------- */

/* Add the backend that serves the model that ships with inferd. */
enum err config_add_builtin(struct config *config, const struct flags *flags,
                            struct findings *findings, struct error *error) MUST_USE;

/* Fill `config` from the file at `path`: what it does not set stays as it is, and what was
 * wrong is among the findings. */
enum err config_file_read(const char *path, const struct flags *flags, struct config *config,
                          struct findings *findings, struct error *error) MUST_USE;

enum {
    WRITE_TIMEOUT_SECS = 60,
    READ_TIMEOUT_SECS = 60,
    CONNECTIONS_PER_CALLER = 1024
}; /* unless something else is asked for */

/* Say what is asked for and not done.  unserved.c */
void config_say_unserved(const struct config *config, const struct flags *flags,
                         struct findings *findings);

/* `idle_unload_secs` of a backend that says nothing of it, while the file is being read. */
#define BACKEND_AS_DAEMON UINT32_MAX

/* Add a backend from its entry, the value of `at`; where that is not inside of anything (it
 * was made of flags, or of a file's only `model`), its keys are not looked for mistakes.
 * One that is wrong is not added, and the findings say why. */
void config_add_backend(const struct source *source, const struct spot *at, struct config *config);
void backend_config_done(struct backend_config *b);
