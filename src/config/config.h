/*
 * config.h - what the daemon is told to be.
 *
 * A setting comes from the command line, else from the environment, else from the
 * configuration file, else it has its default.  The options and their variables are
 * one table in flags.c; what a file may hold is one table in file.c.
 */
#pragma once

#include "base/json.h"

/* A kind of backend: what a configuration calls it and which program it is. */
struct backend_kind {
    const char *name;        /* "llamacpp" */
    const char *program;     /* "inferd-engine-llama" */
    bool has_model;          /* it needs `model`, or `path` and `sha256` */
    const char *const *keys; /* of its own, beside those that every kind has; NULL ends */
};

/* NULL if there is none of that name. */
const struct backend_kind *backend_kind_find(const char *name);

struct backend_config {
    char *name;
    const struct backend_kind *kind;
    uint32_t slots;
    char *path;       /* of a model file outside of the store; else NULL */
    char *model_name; /* of a model in the store; else NULL */
    char *sha256;     /* of either: 64 lower-case hex digits; NULL where the kind has no model */
    char *source_url; /* https://...; "" or NULL: the model is never fetched */
    char *license;    /* NULL: none given */
    uint64_t size;    /* of the model in bytes; 0: not given */
    json_t *options;  /* the entry as it stands, for the engine */
};

struct config {
    char *runtime_dir;
    char *lock_path;
    char *infer_path; /* the v1 generation socket */
    char *admin_path;
    char *group; /* of the generation socket; NULL: the daemon's own */
    uint32_t active_permits;
    uint32_t queue_depth;
    uint32_t ready_timeout_secs;
    uint32_t drain_timeout_secs;
    char *models_home; /* where the store is; NULL: where it usually is */
    bool auto_pull;    /* fetch what is missing */
    struct backend_config *backends;
    size_t n_backends;
    bool builtin; /* nobody named a model: the only backend is the one that ships */
};

/* What the command line asks for. */
enum config_action { CONFIG_RUN, CONFIG_HELP, CONFIG_VERSION };

/*
 * Everything from everywhere.  `*config` is to be ended with config_done() whatever
 * comes of it.
 *
 * ERR_INVALID_REQUEST  the command line makes no sense (exit code 2)
 * ERR_CONFIG           a file or a value does not
 */
enum err config_read(int argc, char **argv, struct config *config, enum config_action *ret_action,
                     struct error *error) MUST_USE;
void config_done(struct config *config);

/* The help text, to standard output. */
void config_print_help(void);

/* --- between the files of this folder --------------------------------------- */

/* Settings as strings and numbers, before they are a configuration: what was given
 * on the command line or in the environment. */
struct flags {
    enum config_action action;
    const char *runtime_dir, *lock, *uds, *admin_addr, *group, *config, *backend;
    const char *model_path, *model_sha256;
    int64_t active_permits, queue_depth, ready_timeout_secs, drain_timeout_secs; /* -1: not given */
    int64_t n_ctx, n_gpu_layers;                                                 /* likewise */
};

enum err flags_read(int argc, char **argv, struct flags *ret, struct error *error) MUST_USE;

/* The label of the backend that serves the model that ships; no other may have it. */
#define BUILTIN_BACKEND "builtin"

/* Add the backend that serves the model that ships with inferd.  `n_ctx` is what was
 * asked for, or -1. */
enum err config_add_builtin(struct config *config, int64_t n_ctx, struct error *error) MUST_USE;

/* Fill `config` from the file at `path`: what it does not set stays as it is. */
enum err config_file_read(const char *path, struct config *config, struct error *error) MUST_USE;

/* Add a backend from its entry (borrowed).  `where` names it in errors. */
enum err config_add_backend(struct config *config, const json_t *entry, const char *where,
                            struct error *error) MUST_USE;
