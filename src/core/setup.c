/*
 * setup.c - what a backend is made of, copied and compared.
 */
#include <string.h>

#include "core/core.h"

enum { TEXTS = 5 };

static void list_texts(struct backend_setup *s, const char **texts[TEXTS])
{
    const char **all[TEXTS] = { &s->engine.name, &s->engine.program, &s->engine.model_path,
                                &s->engine.model_sha256, &s->engine.cache_dir };
    memcpy(texts, all, sizeof all);
}

static void free_arguments(char **argv)
{
    for (char **a = argv; a && *a; a++)
        free(*a);
    free(argv);
}

/* NULL without memory. */
static char **copy_arguments(char *const *argv)
{
    size_t n = 0;
    while (argv[n])
        n++;
    char **copy = calloc(n + 1, sizeof *copy);
    for (size_t i = 0; copy && i < n; i++) {
        copy[i] = strdup(argv[i]);
        if (!copy[i]) {
            free_arguments(copy);
            return NULL;
        }
    }
    return copy;
}

enum err backend_setup_copy(struct backend_setup *ret, const struct backend_setup *from)
{
    const char **texts[TEXTS];
    bool whole = true;
    *ret = *from;
    list_texts(ret, texts);
    for (size_t i = 0; i < TEXTS; i++) {
        const char *text = *texts[i];
        *texts[i] = text ? strdup(text) : NULL;
        whole = whole && (!text || *texts[i]);
    }
    json_incref((json_t *)ret->engine.options);
    if (from->preparation.argv) {
        ret->preparation.argv = copy_arguments(from->preparation.argv);
        whole = whole && ret->preparation.argv;
    }
    if (whole)
        return OK;
    backend_setup_done(ret);
    return ERR_NO_MEMORY;
}

void backend_setup_done(struct backend_setup *s)
{
    const char **texts[TEXTS];
    list_texts(s, texts);
    for (size_t i = 0; i < TEXTS; i++)
        free((char *)*texts[i]);
    json_decref((json_t *)s->engine.options);
    free_arguments(s->preparation.argv);
    *s = (struct backend_setup){ 0 };
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* Names that begin with "x-" are notes of whoever wrote the configuration. */
static void drop_notes(json_t *tree)
{
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(tree, next, key, value)
    {
        if (strncmp(key, "x-", 2) == 0)
            json_object_del(tree, key);
        else
            drop_notes(value);
    }
}

/* Without memory they count as different: starting anew is never wrong. */
static bool same_options(const json_t *a, const json_t *b)
{
    if (a == b)
        return true;
    CLEANUP(json_drop) json_t *left = json_deep_copy(a);
    CLEANUP(json_drop) json_t *right = json_deep_copy(b);
    drop_notes(left);
    drop_notes(right);
    return left && right && json_equal(left, right);
}

bool backend_setup_same_engine(const struct backend_setup *a, const struct backend_setup *b)
{
    const char **left[TEXTS], **right[TEXTS];
    list_texts((struct backend_setup *)a, left);
    list_texts((struct backend_setup *)b, right);
    for (size_t i = 0; i < TEXTS; i++)
        if (!same_text(*left[i], *right[i]))
            return false;
    return same_text(a->kind, b->kind) && a->engine.slots == b->engine.slots &&
           a->engine.ready_timeout_ms == b->engine.ready_timeout_ms &&
           a->engine.memory_limit == b->engine.memory_limit &&
           same_options(a->engine.options, b->engine.options);
}

bool backend_setup_same_preparation(const struct backend_setup *a, const struct backend_setup *b)
{
    char *const *left = a->preparation.argv, *const *right = b->preparation.argv;
    if (!left || !right)
        return left == right;
    while (*left && *right && strcmp(*left, *right) == 0) {
        left++;
        right++;
    }
    return !*left && !*right;
}
