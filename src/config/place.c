/*
 * place.c - see place.h.
 *
 * A model of the store is looked for by its digest.  Nothing is hashed here: the engine
 * hashes what it loads, every time.  A model outside of the store is never fetched.
 */
#include "config/place.h"

#include <stdio.h>
#include <string.h>

#include "store/store.h"

const char *const place_passed_on[] = {
    "HOME",          "XDG_CACHE_HOME", "XDG_DATA_HOME",
    "TMPDIR",        "HF_HOME",        "HF_HUB_CACHE",
    "HF_TOKEN",      "OLLAMA_MODELS",  "INFERD_CA_FILE",
    "SSL_CERT_FILE", "SSL_CERT_DIR",   "https_proxy",
    "HTTPS_PROXY",   "all_proxy",      "ALL_PROXY",
    "no_proxy",      "NO_PROXY",       NULL,
};

enum { ARGUMENTS_MAX = 16 };

/* Append `flag` and `value`, both copied. */
static enum err add(struct place *p, size_t *n, const char *flag, const char *value,
                    struct error *error)
{
    const char *const both[] = { flag, value };
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        if (both[i] && !(p->argv[(*n)++] = strdup(both[i])))
            return fail_nomem(error);
    }
    return OK;
}

static enum err make_order(struct place *p, const char *root, const struct backend_config *b,
                           const char *fetcher, struct error *error)
{
    size_t n = 0;
    char size[24];
    snprintf(size, sizeof size, "%llu", (unsigned long long)b->size);
    p->argv = calloc(ARGUMENTS_MAX, sizeof *p->argv);
    if (!p->argv)
        return fail_nomem(error);
    /* Somebody may be pulling the same model by hand: then theirs is waited for. */
    enum err e = add(p, &n, fetcher, "--wait", error);
    if (!e)
        e = add(p, &n, "--store", root, error);
    if (!e)
        e = add(p, &n, "--name", b->model_name, error);
    if (!e)
        e = add(p, &n, "--sha256", b->sha256, error);
    if (!e)
        e = add(p, &n, "--url", b->source_url, error);
    if (!e && b->size)
        e = add(p, &n, "--size", size, error);
    if (!e && b->license)
        e = add(p, &n, "--license", b->license, error);
    return e;
}

static enum err fetch_or_refuse(struct place *p, const struct config *config, const char *root,
                                const struct backend_config *b, const char *fetcher,
                                struct error *error)
{
    const char *name = b->model_name;
    if (!config->auto_pull)
        return fail(error, ERR_CONFIG,
                    "model %s not present in store at %s and auto_pull is disabled. Run "
                    "`inferdctl pull` or set auto_pull: true in config.",
                    name, p->path);
    if (!b->source_url || !b->source_url[0])
        return fail(error, ERR_CONFIG,
                    "model \"%s\" has no source_url and no manifest exists; "
                    "import it with `inferdctl import --name %s <path.gguf>`",
                    name, name);
    if (!fetcher)
        return fail(error, ERR_CONFIG,
                    "model \"%s\" is not in the model store and this is an airgapped build (no "
                    "model-fetch feature); import it with `inferdctl import --name %s "
                    "<path.gguf>`",
                    name, name);
    return make_order(p, root, b, fetcher, error);
}

/* A blob in the store, or what would put it there. */
static enum err find_stored(struct place *p, const struct config *config,
                            const struct backend_config *b, const char *fetcher,
                            struct error *error)
{
    CLEANUP(free_ptr) char *root = NULL;
    CLEANUP(close_fd) int fd = -1;
    struct digest digest;
    struct store store;
    char path[STORE_PATH_MAX];

    enum err e = digest_read(b->sha256, strlen(b->sha256), &digest, error);
    if (!e)
        e = store_find(config->models_home, &root, error);
    if (!e)
        e = store_open(&store, root, error);
    if (e)
        return e;
    store_blob_path(&store, &digest, path);
    p->path = strdup(path);
    e = p->path ? store_blob_open(&store, &digest, &fd, NULL, error) : fail_nomem(error);
    store_done(&store);
    return e == ERR_NOT_FOUND ? fetch_or_refuse(p, config, root, b, fetcher, error) : e;
}

enum err place_find(struct place *ret, const struct config *config, const struct backend_config *b,
                    const char *fetcher, struct error *error)
{
    if (b->model_name)
        return find_stored(ret, config, b, fetcher, error);
    ret->path = strdup(b->path);
    return ret->path ? OK : fail_nomem(error);
}

void place_done(struct place *p)
{
    free(p->path);
    for (char **a = p->argv; a && *a; a++)
        free(*a);
    free(p->argv);
    *p = (struct place){ 0 };
}
