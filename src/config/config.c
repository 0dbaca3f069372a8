/*
 * config.c - flags, file and defaults, put together: defaults first, then what the file
 * says, then what flags say.
 */
#include "config/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/levels.h"
#include "config/source.h"

enum {
    ACTIVE_PERMITS = 4,
    QUEUE_DEPTH = 10,
    READY_TIMEOUT_SECS = 30,
    DRAIN_TIMEOUT_SECS = 8,
    KEY_BYTES_MAX = 4096,
};

/* --- paths ------------------------------------------------------------------ */

static enum err set_text(char **at, const char *text, struct error *error)
{
    if (!text)
        return OK;
    char *copy = strdup(text);
    if (!copy)
        return fail_nomem(error);
    free(*at);
    *at = copy;
    return OK;
}

static enum err join(char **ret, const char *dir, const char *name, struct error *error)
{
    free(*ret);
    if (asprintf(ret, "%s/%s", dir, name) < 0) {
        *ret = NULL;
        return fail_nomem(error);
    }
    return OK;
}

/* Where sockets lie: every program on the machine looks in the same places. */
static enum err default_runtime_dir(char **ret, struct error *error)
{
    const char *xdg = getenv("XDG_RUNTIME_DIR");
    const char *home = getenv("HOME");
    if (xdg && xdg[0])
        return join(ret, xdg, "inferd", error);
    if (home && home[0])
        return join(ret, home, ".inferd/run", error);
    char name[32];
    snprintf(name, sizeof name, "inferd-%u", (unsigned)geteuid());
    return join(ret, "/tmp", name, error);
}

/* Every socket that there could be, with its default name. */
struct socket_row {
    char **at;
    const char *name;
    const char *flag; /* its path from the command line, or NULL */
};

enum { N_SOCKETS = 6 };

static void list_sockets(struct config *c, const struct flags *f, struct socket_row rows[N_SOCKETS])
{
    const struct socket_row all[N_SOCKETS] = {
        { &c->admin_path, "admin.sock", f->admin },
        { &c->infer_path, "infer.sock", f->uds },
        { &c->v2_path, "infer.v2.sock", f->v2 },
        { &c->v2_blob_path, "inferd.sock", f->v2_blob },
        { &c->embed_path, "infer.embed.sock", f->embed },
        { &c->rerank_path, "infer.rerank.sock", f->rerank },
    };
    memcpy(rows, all, sizeof all);
}

static enum err set_default_paths(const struct flags *flags, struct config *c, struct error *error)
{
    struct socket_row rows[N_SOCKETS];
    list_sockets(c, flags, rows);
    enum err e = flags->runtime_dir ? set_text(&c->runtime_dir, flags->runtime_dir, error)
                                    : default_runtime_dir(&c->runtime_dir, error);
    for (size_t i = 0; !e && i < N_SOCKETS; i++)
        e = join(rows[i].at, c->runtime_dir, rows[i].name, error);
    if (!e)
        e = join(&c->lock_path, c->runtime_dir, "inferd.lock", error);
    const char *home = getenv("HOME");
    if (!e)
        e = join(&c->log_dir, home ? home : "", ".inferd/logs", error);
    return e;
}

static enum err check_paths(const struct config *c, struct error *error)
{
    const char *const paths[] = { c->runtime_dir, c->lock_path,    c->admin_path, c->infer_path,
                                  c->v2_path,     c->v2_blob_path, c->embed_path, c->rerank_path };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        if (paths[i] && paths[i][0] != '/')
            return fail(error, ERR_CONFIG, "'%.80s' must be an absolute path", paths[i]);
    return OK;
}

/* "~/models" is a directory of the user's home. */
static enum err expand_home(char **at, struct error *error)
{
    const char *home = getenv("HOME");
    if (!*at || strncmp(*at, "~/", 2) != 0 || !home)
        return OK;
    CLEANUP(free_ptr) char *below = strdup(*at + 2);
    return below ? join(at, home, below, error) : fail_nomem(error);
}

/* --- flags over all --------------------------------------------------------- */

static void set_number(uint32_t *at, int64_t given)
{
    if (given != FLAG_ABSENT)
        *at = (uint32_t)given; /* the flag's own range has been checked */
}

static void set_numbers(const struct flags *flags, struct config *c)
{
    set_number(&c->active_permits, flags->active_permits);
    set_number(&c->queue_depth, flags->queue_depth);
    set_number(&c->connections_per_caller, flags->connections_per_caller);
    set_number(&c->idle_unload_secs, flags->idle_unload_secs);
    set_number(&c->ready_timeout_secs, flags->ready_timeout_secs);
    set_number(&c->drain_timeout_secs, flags->drain_timeout_secs);
    set_number(&c->write_timeout_secs, flags->write_timeout_secs);
    set_number(&c->read_timeout_secs, flags->read_timeout_secs);
    if (flags->tcp_without_key != FLAG_ABSENT)
        c->tcp_without_key = flags->tcp_without_key;
}

/* A socket that --v2, --embed or --rerank asks for is there whatever the file says. */
static enum err set_switched(char **at, int64_t on, const struct config *c, const char *name,
                             struct error *error)
{
    if (on == 0) {
        free(*at);
        *at = NULL;
    }
    return on == 1 && !*at ? join(at, c->runtime_dir, name, error) : OK;
}

static enum err set_sockets(const struct flags *flags, struct config *c, struct error *error)
{
    enum err e = set_switched(&c->v2_path, flags->v2_on, c, "infer.v2.sock", error);
    if (!e)
        e = set_switched(&c->embed_path, flags->embed_on, c, "infer.embed.sock", error);
    if (!e)
        e = set_switched(&c->rerank_path, flags->rerank_on, c, "infer.rerank.sock", error);
    struct socket_row rows[N_SOCKETS];
    list_sockets(c, flags, rows);
    for (size_t i = 0; !e && i < N_SOCKETS; i++)
        e = set_text(rows[i].at, rows[i].flag, error);
    return e;
}

static enum err set_texts(const struct flags *flags, struct config *c, struct error *error)
{
    const struct {
        char **at;
        const char *flag;
    } rows[] = {
        { &c->lock_path, flags->lock },
        { &c->group, flags->group },
        { &c->tcp, flags->tcp },
        { &c->tcp_v2, flags->tcp_v2 },
        { &c->tcp_embed, flags->tcp_embed },
        { &c->api_key, flags->api_key },
        { &c->log_level, flags->log_level },
        { &c->log_dir, flags->log_dir },
    };
    enum err e = OK;
    for (size_t i = 0; !e && i < ARRAY_LEN(rows); i++)
        e = set_text(rows[i].at, rows[i].flag, error);
    return e;
}

static bool add_id(struct id_list *ids, uint32_t id)
{
    uint32_t *more = reallocarray(ids->at, ids->n + 1, sizeof *more);
    if (!more)
        return false;
    ids->at = more;
    ids->at[ids->n++] = id;
    return true;
}

/* "1000,1001" replaces what is in the list. */
static enum err set_ids(const char *option, const char *text, struct id_list *ids,
                        struct error *error)
{
    if (!text)
        return OK;
    ids->n = 0;
    char *end;
    for (const char *p = text;; p = end + 1) {
        errno = 0;
        unsigned long long id = strtoull(p, &end, 10);
        if (errno || *p < '0' || *p > '9' || id >= UINT32_MAX || (*end && *end != ','))
            return fail(error, ERR_INVALID_REQUEST,
                        "%s must be numbers with commas between them, not '%.80s'", option, text);
        if (!add_id(ids, (uint32_t)id))
            return fail_nomem(error);
        if (!*end)
            return OK;
    }
}

/* The key that a file holds, without the newline that editors leave. */
static enum err read_key_file(const char *path, struct config *c, struct error *error)
{
    if (!path || c->api_key)
        return OK;
    char *text;
    size_t len;
    enum err e = file_read(path, KEY_BYTES_MAX, &text, &len, error);
    if (e)
        return fail(error, ERR_CONFIG, "--api-key-file: %s", error->message);
    text[strcspn(text, "\r\n")] = '\0';
    c->api_key = text;
    return text[0] ? OK : fail(error, ERR_CONFIG, "--api-key-file: '%.256s' holds no key", path);
}

static enum err apply_flags(const struct flags *flags, struct config *c, struct error *error)
{
    set_numbers(flags, c);
    enum err e = set_sockets(flags, c, error);
    if (!e)
        e = set_texts(flags, c, error);
    if (!e)
        e = read_key_file(flags->api_key_file, c, error);
    if (!e)
        e = set_ids("--allow-uid", flags->allow_uids, &c->allow_uids, error);
    if (!e)
        e = set_ids("--allow-gid", flags->allow_gids, &c->allow_gids, error);
    return e ? e : check_paths(c, error);
}

/* --- backends --------------------------------------------------------------- */

/* On a command line a path may be relative and a digest in capitals. */
static enum err set_model(const struct flags *flags, json_t *entry, struct error *error)
{
    const char *hex = json_string_value(json_object_get(entry, "sha256"));
    if (!flags->model_path || !hex)
        return fail(error, ERR_INVALID_REQUEST,
                    "--backend %s needs --model-path and --model-sha256", flags->backend);
    CLEANUP(free_ptr) char *path = realpath(flags->model_path, NULL);
    CLEANUP(free_ptr) char *sha256 = strdup(hex);
    if (!sha256)
        return fail_nomem(error);
    for (char *p = sha256; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    if (json_object_set_new(entry, "path", json_string(path ? path : flags->model_path)) < 0)
        return fail(error, ERR_INVALID_REQUEST, "--model-path must be UTF-8");
    return json_object_set_new(entry, "sha256", json_string(sha256)) < 0 ? fail_nomem(error) : OK;
}

/* The one backend that --backend asks for, as if a file said so. */
static enum err backend_from_flags(const struct flags *flags, struct config *c,
                                   struct findings *findings, struct error *error)
{
    const struct backend_kind *kind = backend_kind_find(flags->backend);
    CLEANUP(json_drop)
    json_t *entry = json_pack("{ss ss}", "kind", flags->backend, "name", flags->backend);
    if (!entry)
        return fail(error, ERR_INVALID_REQUEST, "--backend must be UTF-8");
    json_t *given = flags_of_kind(flags, flags->backend);
    if (given && json_object_update(entry, given) < 0)
        return fail_nomem(error);
    enum err e = kind && kind->has_model ? set_model(flags, entry, error) : OK;
    if (e)
        return e;
    c->one_llamacpp = kind && kind->has_model;
    struct source source = { .path = "--backend", .findings = findings };
    struct spot at = { .value = entry };
    config_add_backend(&source, &at, c);
    /* What is wrong with it is wrong on the command line. */
    return findings_verdict(findings, error) ? ERR_INVALID_REQUEST : OK;
}

/* ~/.inferd/config.json is read if it is there; one that was asked for has to be. */
static enum err read_file(const struct flags *flags, struct config *c, struct findings *findings,
                          struct error *error)
{
    const char *home = getenv("HOME");
    enum err e = OK;
    if (flags->config)
        e = set_text(&c->file, flags->config, error);
    else if (home && home[0] == '/')
        e = join(&c->file, home, ".inferd/config.json", error);
    if (!e && c->file && !flags->config && access(c->file, F_OK) < 0 && errno == ENOENT) {
        free(c->file);
        c->file = NULL;
    }
    return e || !c->file ? e : config_file_read(c->file, flags, c, findings, error);
}

static void settle_backends(struct config *c)
{
    for (size_t i = 0; i < c->n_backends; i++) {
        struct backend_config *b = &c->backends[i];
        if (b->slots == 0)
            b->slots = c->active_permits;
        if (b->idle_unload_secs == BACKEND_AS_DAEMON)
            b->idle_unload_secs = c->idle_unload_secs;
    }
}

static enum err check_log_level(const struct config *c, struct error *error)
{
    struct levels unused;
    return c->log_level ? levels_read(c->log_level, &unused, error) : OK;
}

/* What can be told only when everything is there. */
static enum err settle(struct config *c, struct error *error)
{
    enum err e = expand_home(&c->models_home, error);
    if (!e)
        e = expand_home(&c->log_dir, error);
    if (!e)
        e = check_log_level(c, error);
    if (!e)
        settle_backends(c);
    return e;
}

enum err config_read(const struct flags *flags, struct config *config, struct findings *findings,
                     struct error *error)
{
    *config = (struct config){
        .active_permits = ACTIVE_PERMITS,
        .queue_depth = QUEUE_DEPTH,
        .connections_per_caller = CONNECTIONS_PER_CALLER,
        .ready_timeout_secs = READY_TIMEOUT_SECS,
        .drain_timeout_secs = DRAIN_TIMEOUT_SECS,
        .write_timeout_secs = WRITE_TIMEOUT_SECS,
        .read_timeout_secs = READ_TIMEOUT_SECS,
        .auto_pull = true,
    };
    enum err e = set_default_paths(flags, config, error);
    if (!e && flags->backend)
        e = backend_from_flags(flags, config, findings, error);
    else if (!e)
        e = read_file(flags, config, findings, error);
    if (!e)
        e = apply_flags(flags, config, error);
    if (!e && config->n_backends == 0)
        e = config_add_builtin(config, flags, findings, error);
    if (!e)
        e = settle(config, error);
    if (e)
        return e;
    config_say_unserved(config, flags, findings);
    return findings_verdict(findings, error);
}

void config_done(struct config *c)
{
    char **const texts[] = { &c->file,        &c->runtime_dir, &c->lock_path,    &c->admin_path,
                             &c->infer_path,  &c->v2_path,     &c->v2_blob_path, &c->embed_path,
                             &c->rerank_path, &c->tcp,         &c->tcp_v2,       &c->tcp_embed,
                             &c->group,       &c->log_dir,     &c->log_level,    &c->models_home };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        free(*texts[i]);
    if (c->api_key)
        explicit_bzero(c->api_key, strlen(c->api_key));
    free(c->api_key);
    free(c->allow_uids.at);
    free(c->allow_gids.at);
    for (size_t i = 0; i < c->n_backends; i++)
        backend_config_done(&c->backends[i]);
    free(c->backends);
    *c = (struct config){ 0 };
}
