/*
 * match.c - Knuth, Morris and Pratt, for a few strings side by side.
 *
 * For each string: how many of its first bytes the text ends with.  The most of these is
 * what may still become one, and no more; so no byte is looked at twice, whatever the
 * strings.
 */
#include "match.h"

#include <string.h>

struct string {
    size_t len;
    size_t matched; /* of its bytes, the text ends with this many */
    char bytes[MATCH_BYTES_MAX];
    uint8_t shorter[MATCH_BYTES_MAX]; /* [i]: the longest beginning that bytes[..i] ends with */
};

struct match {
    size_t n_strings;
    struct string strings[];
};

/* The text ended with `matched` bytes of `s` and goes on with `byte`: with how many now? */
static size_t advance(const struct string *s, size_t matched, char byte)
{
    while (matched > 0 && s->bytes[matched] != byte)
        matched = s->shorter[matched - 1];
    return matched + (s->bytes[matched] == byte);
}

static void string_init(struct string *s, struct slice text)
{
    s->len = text.len;
    memcpy(s->bytes, text.at, text.len);
    for (size_t i = 1; i < s->len; i++)
        s->shorter[i] = (uint8_t)advance(s, s->shorter[i - 1], s->bytes[i]);
}

enum err match_new(const struct slice *strings, size_t n, struct match **ret)
{
    struct match *m = calloc(1, sizeof *m + n * sizeof m->strings[0]);
    if (!m)
        return ERR_NO_MEMORY;
    m->n_strings = n;
    for (size_t i = 0; i < n; i++)
        string_init(&m->strings[i], strings[i]);
    *ret = m;
    return OK;
}

void match_free(struct match *m)
{
    free(m);
}

size_t match_feed(struct match *m, char byte)
{
    size_t came = 0;
    for (size_t i = 0; i < m->n_strings; i++) {
        struct string *s = &m->strings[i];
        s->matched = advance(s, s->matched, byte);
        if (s->matched == s->len) {
            came = s->len > came ? s->len : came;
            s->matched = s->shorter[s->len - 1];
        }
    }
    return came;
}

size_t match_pending(const struct match *m)
{
    size_t most = 0;
    for (size_t i = 0; i < m->n_strings; i++)
        if (m->strings[i].matched > most)
            most = m->strings[i].matched;
    return most;
}
