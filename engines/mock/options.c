/*
 * options.c - see options.h.
 *
 *     tokens          a list of strings, or {"count": N, "size": BYTES}
 *     token_delay_ms, load_delay_ms
 *     fail            a word of finale_failed(): each request ends with it at once
 *     drop_after      a number of tokens; so do the others:
 *     crash_after     {"tokens": N, "signal": NAME}
 *     hang_after
 *     capabilities    {"tools": true ...} over the mock's own
 *     scripted        answers are commanded, which leaves only the delays of these
 */
#include "options.h"

#include <string.h>

#include "proto/engine.h"

enum { DELAY_MAX_MS = 60 * 60 * 1000 };

static enum err read_list(const json_t *list, struct plan *p, struct error *error)
{
    size_t n = json_array_size(list);
    struct slice *pieces = calloc(n + 1, sizeof *pieces);
    if (!pieces)
        return fail_nomem(error);
    p->owned = pieces;
    p->pieces = pieces;
    p->count = p->n_pieces = n;
    for (size_t i = 0; i < n; i++) {
        const json_t *token = json_array_get(list, i);
        if (!json_is_string(token))
            return fail(error, ERR_CONFIG, "tokens[%zu] must be a string", i);
        pieces[i] = (struct slice){ json_string_value(token), json_string_length(token) };
    }
    return OK;
}

static enum err read_tokens(const json_t *tree, struct plan *p, struct error *error)
{
    const json_t *tokens = json_object_get(tree, "tokens");
    if (!tokens)
        return OK;
    if (json_is_array(tokens))
        return read_list(tokens, p, error);
    if (!json_is_object(tokens))
        return fail(error, ERR_CONFIG, "tokens must be a list of strings, or a count and a size");
    uint32_t count = 1, size = 1;
    enum err e = json_get_u32(tokens, "count", 0, UINT32_MAX, &count, error);
    if (!e)
        e = json_get_u32(tokens, "size", 0, UINT32_MAX, &size, error);
    return e ? e : plan_fill(p, count, size, error);
}

static enum err read_fail(const json_t *tree, struct plan *p, struct error *error)
{
    const char *word = NULL;
    struct finale finale;
    enum err e = json_get_string(tree, "fail", &word, error);
    if (e || !word)
        return e;
    if (!finale_failed((struct slice){ word, strlen(word) }, &finale))
        return fail(error, ERR_CONFIG, "fail is '%.80s', which is no way to fail", word);
    plan_cut(p, 0, finale);
    return OK;
}

/* A member of `tree` that says after how many tokens `finale` comes. */
static enum err read_cut(const json_t *tree, const char *name, struct finale finale, struct plan *p,
                         struct error *error)
{
    int64_t after = -1;
    enum err e = json_get_int(tree, name, 0, INT64_MAX, &after, error);
    if (!e && after >= 0)
        plan_cut(p, (uint64_t)after, finale);
    return e;
}

static enum err read_crash(const json_t *tree, struct plan *p, struct error *error)
{
    const json_t *crash = json_object_get(tree, "crash_after");
    if (!crash)
        return OK;
    const char *name = "SEGV";
    struct finale finale;
    enum err e = json_get_string(crash, "signal", &name, error);
    if (e)
        return e;
    if (!json_is_object(crash) || !finale_crashed((struct slice){ name, strlen(name) }, &finale))
        return fail(error, ERR_CONFIG, "crash_after must name a number of tokens and a signal");
    return read_cut(crash, "tokens", finale, p, error);
}

static enum err read_plan(const json_t *tree, struct plan *p, struct error *error)
{
    enum err e = read_tokens(tree, p, error);
    if (!e)
        e = read_fail(tree, p, error);
    if (!e)
        e = read_cut(tree, "drop_after", finale_dropped(), p, error);
    if (!e)
        e = read_crash(tree, p, error);
    if (!e)
        e = read_cut(tree, "hang_after", (struct finale){ .ending = END_HANG }, p, error);
    return e;
}

static enum err read_capabilities(const json_t *tree, struct capabilities *c, struct error *error)
{
    const json_t *wanted = json_object_get(tree, "capabilities");
    if (wanted && !json_is_object(wanted))
        return fail(error, ERR_CONFIG, "capabilities must be an object");
    return capabilities_read(wanted, c, error);
}

enum err options_read(const json_t *tree, struct options *ret, struct error *error)
{
    struct options o = {
        .capabilities = { .v2 = true, .thinking = true, .grammar = true, .accelerator = "cpu" }
    };
    plan_init(&o.plan);
    enum err e = json_get_bool(tree, "scripted", &o.scripted, error);
    if (!e)
        e = json_get_int(tree, "token_delay_ms", 0, DELAY_MAX_MS, &o.token_delay_ms, error);
    if (!e)
        e = json_get_int(tree, "load_delay_ms", 0, DELAY_MAX_MS, &o.load_delay_ms, error);
    if (!e)
        e = read_plan(tree, &o.plan, error);
    if (!e)
        e = read_capabilities(tree, &o.capabilities, error);
    if (e)
        options_done(&o);
    else
        *ret = o;
    return e;
}

void options_done(struct options *o)
{
    plan_done(&o->plan);
}
