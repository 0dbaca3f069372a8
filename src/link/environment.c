/*
 * environment.c - see environment.h.
 */
#include "link/environment.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

/* Every kind of child gets these: where sanitizers write. */
static const char *const always[] = { "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS",
                                      "LSAN_OPTIONS", NULL };

/* The whole setting of `name`, or NULL. */
static char *setting_of(const char *name)
{
    size_t len = strlen(name);
    for (char **s = environ; *s; s++)
        if (strncmp(*s, name, len) == 0 && (*s)[len] == '=')
            return *s;
    return NULL;
}

static size_t pass_on(struct environment *env, size_t n, const char *const *names)
{
    for (; *names; names++) {
        char *setting = setting_of(*names);
        assert(n < ENVIRONMENT_MAX);
        if (setting)
            env->list[n++] = setting;
    }
    return n;
}

void environment_make(struct environment *env, const char *const *own, const char *const *passed_on)
{
    size_t n = 0;
    env->list[n++] = (char *)"LANG=C.UTF-8";
    for (; *own; own++) {
        assert(n < ENVIRONMENT_MAX);
        env->list[n++] = (char *)*own;
    }
    n = pass_on(env, n, passed_on);
    n = pass_on(env, n, always);
    env->list[n] = NULL;
}
