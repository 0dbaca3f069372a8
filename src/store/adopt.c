/*
 * adopt.c - what another tool has downloaded need not be downloaded again.
 *
 * The tools that we know name their files by digest, so finding one is a matter of
 * looking under a few names in each directory; whether it is what its name says is found
 * out in our own staging, where nobody changes it any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "store/dir.h"
#include "store/import.h"
#include "store/staging.h"

struct search {
    const struct store *store;
    const struct adopt_order *order;
    struct adopt_result *result;
    char plain[DIGEST_HEX + 1];                 /* <hex> */
    char tagged[sizeof "sha256-" + DIGEST_HEX]; /* sha256-<hex> */
};

/* --- one file --------------------------------------------------------------------------- */

/* ERR_NOT_FOUND: these bytes are of no use, look on. */
static enum err take_in(struct search *search, int source, struct error *error)
{
    const struct adopt_order *order = search->order;
    CLEANUP(staging_done) struct staging st = STAGING_NONE;
    enum err e = staging_take(&st, search->store, order->name, source, search->result->source, true,
                              order->progress, error);
    if (e == OK && !digest_equal(&st.digest, order->digest))
        return ERR_NOT_FOUND;
    if (e == OK)
        e = staging_verify(&st, order->progress, error);
    if (e == OK)
        e = staging_publish(&st, error);
    if (e)
        return e;
    search->result->size = st.size;
    search->result->how = st.how;
    return OK;
}

static enum err try_file(struct search *search, int dir, const char *where, const char *name,
                         struct error *error)
{
    CLEANUP(close_fd) int fd = -1;
    struct stat st;
    if (dir_open_file(dir, name, O_RDONLY, &fd, &st, NULL) != OK)
        return ERR_NOT_FOUND;
    if (search->order->size && (uint64_t)st.st_size != search->order->size)
        return ERR_NOT_FOUND;
    int n = snprintf(search->result->source, sizeof search->result->source, "%s/%s", where, name);
    if (n < 0 || (size_t)n >= sizeof search->result->source)
        return ERR_NOT_FOUND;
    return take_in(search, fd, error);
}

/* --- the places ------------------------------------------------------------------------- */

static enum err try_names(struct search *search, int dir, const char *where, struct error *error)
{
    enum err e = try_file(search, dir, where, search->tagged, error);
    return e == ERR_NOT_FOUND ? try_file(search, dir, where, search->plain, error) : e;
}

/* In `dir`/blobs. */
static enum err try_blobs(struct search *search, int dir, const char *where, struct error *error)
{
    CLEANUP(close_fd) int blobs = -1;
    char path[STORE_PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/blobs", where);
    if (n < 0 || (size_t)n >= sizeof path || dir_open(dir, "blobs", &blobs, NULL) != OK)
        return ERR_NOT_FOUND;
    return try_names(search, blobs, path, error);
}

/* In `dir`/<any>/blobs, as the Hugging Face hub has it. */
static enum err try_repositories(struct search *search, int dir, const char *where,
                                 struct error *error)
{
    CLEANUP(names_done) struct names names = { 0 };
    if (dir_names(dir, &names, NULL) != OK)
        return ERR_NOT_FOUND;
    enum err e = ERR_NOT_FOUND;
    for (size_t i = 0; e == ERR_NOT_FOUND && i < names.n; i++) {
        CLEANUP(close_fd) int below = -1;
        char path[STORE_PATH_MAX];
        int n = snprintf(path, sizeof path, "%s/%s", where, names.at[i]);
        if (n > 0 && (size_t)n < sizeof path && dir_open(dir, names.at[i], &below, NULL) == OK)
            e = try_blobs(search, below, path, error);
    }
    return e;
}

static enum err try_place(struct search *search, const char *where, struct error *error)
{
    CLEANUP(close_fd) int dir = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return ERR_NOT_FOUND;
    enum err e = try_names(search, dir, where, error);
    if (e == ERR_NOT_FOUND)
        e = try_blobs(search, dir, where, error);
    if (e == ERR_NOT_FOUND)
        e = try_repositories(search, dir, where, error);
    return e;
}

/* Where tools keep what they download: below what a variable says. */
static const struct place {
    const char *variable;
    const char *below;
} places[] = {
    { "OLLAMA_MODELS", "" },
    { "HOME", "/.ollama/models" },
    { NULL, "/usr/share/ollama/.ollama/models" },
    { NULL, "/var/lib/ollama/models" },
    { "HF_HUB_CACHE", "" },
    { "HF_HOME", "/hub" },
    { "XDG_CACHE_HOME", "/huggingface/hub" },
    { "HOME", "/.cache/huggingface/hub" },
};

static enum err try_known(struct search *search, const struct place *place, struct error *error)
{
    const char *base = place->variable ? getenv(place->variable) : "";
    char where[STORE_PATH_MAX];
    if (!base || (place->variable && base[0] != '/'))
        return ERR_NOT_FOUND;
    int n = snprintf(where, sizeof where, "%s%s", base, place->below);
    if (n < 0 || (size_t)n >= sizeof where)
        return ERR_NOT_FOUND;
    return try_place(search, where, error);
}

enum err store_adopt(const struct store *s, const struct adopt_order *order,
                     struct adopt_result *ret, struct error *error)
{
    enum err e = model_name_check(order->name, strlen(order->name), error);
    if (e)
        return e;
    struct adopt_result result = { 0 };
    struct search search = { .store = s, .order = order, .result = &result };
    snprintf(search.plain, sizeof search.plain, "%s", order->digest->hex);
    snprintf(search.tagged, sizeof search.tagged, "sha256-%s", order->digest->hex);

    e = ERR_NOT_FOUND;
    for (const char *const *dir = order->dirs; e == ERR_NOT_FOUND && dir && *dir; dir++)
        e = try_place(&search, *dir, error);
    for (size_t i = 0; e == ERR_NOT_FOUND && i < ARRAY_LEN(places); i++)
        e = try_known(&search, &places[i], error);
    if (e == ERR_NOT_FOUND)
        return fail(error, e, "no other tool has sha256:%s", order->digest->hex);
    if (e == OK)
        *ret = result;
    return e;
}
