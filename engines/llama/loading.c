/*
 * loading.c - see loading.h.
 */
#include "loading.h"

#include "cores.h"

enum { THREADS_HIGHEST = 512 }; /* ggml's */

static enum err read_sandbox(const json_t *options, enum sandbox_mode *ret, struct error *error)
{
    const char *name = "auto";
    enum err e = json_get_string(options, "sandbox", &name, error);
    if (!e && !sandbox_mode_from_name(name, ret))
        return fail(error, ERR_CONFIG, "sandbox is '%.32s'; it can be auto, off or require", name);
    return e;
}

/* Prompts are read with as many threads as answers are written, unless told otherwise. */
static enum err read_threads(const json_t *options, struct loading *l, struct error *error)
{
    enum err e = json_get_u32(options, "threads", 1, THREADS_HIGHEST, &l->threads, error);
    if (!e && l->threads == 0)
        l->threads = cores_usable();
    l->batch_threads = l->threads;
    return e ? e
             : json_get_u32(options, "threads_batch", 1, THREADS_HIGHEST, &l->batch_threads, error);
}

enum err loading_read(const json_t *options, struct loading *ret, struct error *error)
{
    struct loading l = { .threads = 0 };
    enum err e = read_sandbox(options, &l.sandbox, error);
    if (!e)
        e = read_threads(options, &l, error);
    if (!e)
        *ret = l;
    return e;
}
