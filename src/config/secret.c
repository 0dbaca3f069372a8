/*
 * secret.c - see secret.h.
 */
#include "config/secret.h"

#include <string.h>

struct secrets {
    struct secrets *next;
    char *variable;
    char *value;
};

static void forget(struct secrets *s)
{
    if (s->value)
        explicit_bzero(s->value, strlen(s->value));
    free(s->value);
    free(s->variable);
    free(s);
}

static struct secrets **find(struct secrets **s, const char *variable)
{
    while (*s && strcmp((*s)->variable, variable) != 0)
        s = &(*s)->next;
    return s;
}

enum err secrets_keep(struct secrets **s, const char *variable, char *value, const char **ret,
                      struct error *error)
{
    struct secrets **at = find(s, variable);
    struct secrets *kept = calloc(1, sizeof *kept);
    if (!kept)
        return fail_nomem(error);
    kept->variable = strdup(variable);
    kept->value = strdup(value);
    if (!kept->variable || !kept->value) {
        forget(kept);
        return fail_nomem(error);
    }
    struct secrets *before = *at;
    kept->next = before ? before->next : NULL;
    *at = kept;
    if (before)
        forget(before);
    explicit_bzero(value, strlen(value));
    *ret = kept->value;
    return OK;
}

enum err secrets_take(struct secrets **s, const char *variable, const char **ret,
                      struct error *error)
{
    char *value = getenv(variable);
    if (!value) {
        const struct secrets *kept = *find(s, variable);
        *ret = kept ? kept->value : NULL;
        return OK;
    }
    enum err e = secrets_keep(s, variable, value, ret, error);
    if (!e)
        unsetenv(variable); /* fails only for a name that getenv() does not find */
    return e;
}

void secrets_free(struct secrets *s)
{
    while (s) {
        struct secrets *next = s->next;
        forget(s);
        s = next;
    }
}
