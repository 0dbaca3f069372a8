/*
 * findings.c - see findings.h.
 */
#include "config/findings.h"

#include <string.h>

void findings_add(struct findings *f, bool wrong, const char *text)
{
    f->n_wrong += wrong;
    if (f->n == FINDINGS_MAX)
        return;
    char *copy = strdup(text);
    struct finding *more = copy ? reallocarray(f->at, f->n + 1, sizeof *more) : NULL;
    if (!more) {
        free(copy);
        f->incomplete = true;
        return;
    }
    f->at = more;
    f->at[f->n++] = (struct finding){ wrong, copy };
}

enum err findings_verdict(const struct findings *f, struct error *error)
{
    if (f->incomplete)
        return fail_nomem(error);
    for (size_t i = 0; i < f->n; i++) {
        if (!f->at[i].wrong)
            continue;
        if (f->n_wrong == 1)
            return fail(error, ERR_CONFIG, "%s", f->at[i].text);
        return fail(error, ERR_CONFIG, "%.400s (and %zu more mistakes)", f->at[i].text,
                    f->n_wrong - 1);
    }
    return OK;
}

void findings_done(struct findings *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(f->at[i].text);
    free(f->at);
    *f = (struct findings){ 0 };
}
