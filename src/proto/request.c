/*
 * request.c - see request.h.
 */
#include "proto/request.h"

#include <string.h>

static const char *const role_names[] = {
    [ROLE_SYSTEM] = "system",
    [ROLE_USER] = "user",
    [ROLE_ASSISTANT] = "assistant",
};

const char *role_name(enum role role)
{
    return role_names[role];
}

bool role_from_name(const char *name, enum role *ret_role)
{
    for (size_t i = 0; i < ARRAY_LEN(role_names); i++) {
        if (strcmp(name, role_names[i]) == 0) {
            *ret_role = (enum role)i;
            return true;
        }
    }
    return false;
}

void generate_init(struct generate *g)
{
    *g = (struct generate){
        .asker = { .uid = UINT32_MAX },
        .temperature = 1.0,
        .top_p = 0.95,
        .top_k = 64,
        .repeat_penalty = 1.0,
        .max_tokens = 1000,
    };
}

void generate_done(struct generate *g)
{
    free(g->messages);
    free(g->logit_bias);
    json_decref(g->tree);
    generate_init(g);
}

double outcome_speed(const struct outcome *o)
{
    /* The first token comes out of reading the prompt; the others took the time. */
    if (o->completion_tokens < 2 || o->generate_ms <= 0)
        return 0;
    return (double)(o->completion_tokens - 1) * 1000 / o->generate_ms;
}

/* --- needs ------------------------------------------------------------------ */

unsigned generate_needs(const struct generate *g)
{
    return NEED_TEXT | (g->grammar.len ? NEED_GRAMMAR : 0);
}

unsigned capabilities_lack(const struct capabilities *c, unsigned needs)
{
    unsigned has = 0;
    has |= c->v2 || !(c->embed || c->rerank) ? NEED_TEXT : 0;
    has |= c->grammar ? NEED_GRAMMAR : 0;
    has |= c->tools ? NEED_TOOLS : 0;
    has |= c->vision ? NEED_VISION : 0;
    has |= c->audio ? NEED_AUDIO : 0;
    has |= c->embed ? NEED_EMBED : 0;
    has |= c->rerank ? NEED_RERANK : 0;
    return needs & ~has;
}

const char *need_name(unsigned needs)
{
#define X(name, text)                                                                              \
    if (needs & NEED_##name)                                                                       \
        return text;
    NEED_LIST(X)
#undef X
    return "";
}
