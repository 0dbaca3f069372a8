/*
 * prefix.c - a list in the order of use.
 *
 * Token arrays are compared one with each other: there are as many as a few hundred
 * megabytes hold, and most differ within their first dozens of tokens.
 */
#include "prefix.h"

#include <string.h>

bool sharing_from_name(const char *name, enum sharing *ret)
{
    static const char *const names[] = {
        [SHARING_UID] = "uid",
        [SHARING_CALLER] = "caller",
        [SHARING_OFF] = "off",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(name, names[i]) == 0) {
            *ret = (enum sharing)i;
            return true;
        }
    return false;
}

bool sharing_allows(enum sharing sharing, struct asker a, struct asker b)
{
    if (sharing == SHARING_OFF || a.uid == UINT32_MAX || a.uid != b.uid)
        return false;
    return sharing == SHARING_UID || (a.program != 0 && a.program == b.program);
}

size_t prefix_common(const llama_token *a, size_t n_a, const llama_token *b, size_t n_b)
{
    size_t n = n_a < n_b ? n_a : n_b;
    size_t i = 0;
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

size_t prefix_usable(const struct rewind *rewind, size_t n, llama_pos first, size_t common)
{
    if (common >= n)
        return n;
    if (!rewind->possible)
        return 0;
    if (rewind->window && first > 0 && (size_t)first + rewind->window >= common)
        return 0;
    return common;
}

/* --- the shelf ------------------------------------------------------------------- */

void shelf_init(struct shelf *s, size_t max, enum sharing sharing, struct rewind rewind)
{
    *s = (struct shelf){ .max = max, .sharing = sharing, .rewind = rewind };
    list_init(&s->kept);
}

void shelf_drop(struct shelf *s, struct kept *k)
{
    list_remove(&s->kept, &k->link);
    s->bytes -= k->bytes;
    free(k->tokens);
    free(k->state);
    free(k);
}

void shelf_done(struct shelf *s)
{
    LIST_EACH(struct kept, k, &s->kept, link)
        shelf_drop(s, k);
}

static void touch(struct shelf *s, struct kept *k)
{
    list_remove(&s->kept, &k->link);
    list_append(&s->kept, &k->link);
}

struct kept *shelf_find(struct shelf *s, struct asker asker, const llama_token *prompt, size_t n,
                        size_t *ret_usable, size_t *ret_common)
{
    struct kept *best = NULL;
    *ret_usable = *ret_common = 0;
    LIST_EACH(struct kept, k, &s->kept, link) {
        if (!sharing_allows(s->sharing, k->asker, asker))
            continue;
        size_t common = prefix_common(k->tokens, k->n, prompt, n);
        size_t usable = prefix_usable(&s->rewind, k->n, k->first, common);
        if (common > *ret_common)
            *ret_common = common;
        if (usable > *ret_usable) {
            *ret_usable = usable;
            best = k;
        }
    }
    if (best)
        touch(s, best);
    return best;
}

/* Is what would be kept there already?  Forget what would only be a part of it. */
static bool is_covered(struct shelf *s, struct asker asker, const llama_token *tokens, size_t n)
{
    LIST_EACH(struct kept, k, &s->kept, link) {
        if (!sharing_allows(s->sharing, k->asker, asker))
            continue;
        size_t common = prefix_common(k->tokens, k->n, tokens, n);
        if (common == n && prefix_usable(&s->rewind, k->n, k->first, n) == n) {
            touch(s, k);
            return true;
        }
        if (common == k->n && s->rewind.possible && s->rewind.window == 0)
            shelf_drop(s, k);
    }
    return false;
}

static void make_room(struct shelf *s, size_t bytes)
{
    while (s->kept.len && s->bytes > s->max - bytes)
        shelf_drop(s, CONTAINER_OF(list_first(&s->kept), struct kept, link));
}

struct kept *shelf_add(struct shelf *s, struct asker asker, const llama_token *tokens, size_t n,
                       size_t bytes)
{
    if (n == 0 || bytes == 0 || bytes > s->max || s->sharing == SHARING_OFF ||
        is_covered(s, asker, tokens, n))
        return NULL;
    make_room(s, bytes);
    struct kept *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    *k = (struct kept){ .asker = asker, .n = n, .bytes = bytes };
    k->tokens = malloc(n * sizeof *k->tokens);
    k->state = malloc(bytes);
    if (!k->tokens || !k->state) {
        free(k->tokens);
        free(k->state);
        free(k);
        return NULL;
    }
    memcpy(k->tokens, tokens, n * sizeof *k->tokens);
    list_append(&s->kept, &k->link);
    s->bytes += bytes;
    return k;
}
