/*
 * report.c - see report.h.
 *
 * An answer names the kind of its backend, the admin socket the label of each in the
 * configuration.  The two are matched where they are equal or there is only one
 * backend; with several of other names nobody can tell which it was.
 */
#include "report.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "output.h"

struct search {
    const char *backend;
    unsigned n_backends;
    bool exact;
    char variant[64];
};

static int look(void *context, const char *json, size_t len)
{
    struct search *s = context;
    CLEANUP(json_drop) json_t *frame = NULL;
    const char *status = NULL, *label = "", *variant = "";
    if (json_read(json, len, &frame, NULL) || json_get_string(frame, "status", &status, NULL) ||
        json_get_string(frame, "backend", &label, NULL) ||
        json_get_string(frame, "cpu_variant", &variant, NULL))
        return 0;
    if (!status || strcmp(status, "capabilities") != 0)
        return 0;
    s->n_backends++;
    bool exact = strcmp(label, s->backend) == 0;
    if (exact || !s->exact)
        snprintf(s->variant, sizeof s->variant, "%s", variant);
    s->exact = s->exact || exact;
    return 0;
}

/* A speed needs two tokens, and some daemons tell no times at all. */
static enum err put_times(struct buf *line, const struct inferd_result *r)
{
    enum err e = OK;
    if (r->tokens_per_second > 0)
        e = buf_printf(line, ", %.1f tokens/s", r->tokens_per_second);
    if (!e && (r->first_token_ms > 0 || r->prompt_ms > 0 || r->queue_ms > 0))
        e = buf_printf(line,
                       ", first token after %.0f ms, prompt read in %.0f ms, queued for %.0f ms",
                       r->first_token_ms, r->prompt_ms, r->queue_ms);
    return e;
}

static enum err put_line(struct buf *line, const struct inferd_result *r, const char *variant)
{
    enum err e =
        buf_printf(line, "%llu prompt tokens (%llu cached), %llu completion tokens",
                   (unsigned long long)r->prompt_tokens, (unsigned long long)r->cached_tokens,
                   (unsigned long long)r->completion_tokens);
    if (!e)
        e = put_times(line, r);
    if (!e)
        e = buf_printf(line, ", stop reason %s, backend %s", r->stop_reason, r->backend);
    if (!e && variant[0])
        e = buf_printf(line, ", CPU variant %s", variant);
    return e;
}

void report(const struct inferd_result *result, const char *admin)
{
    struct search search = { .backend = result->backend };
    bool known = inferd_watch(admin, 0, look, &search, NULL) == INFERD_OK &&
                 (search.exact || search.n_backends == 1);
    struct buf line;
    buf_init(&line, 4096);
    if (put_line(&line, result, known ? search.variant : "") == OK)
        complain("%.*s", (int)line.len, line.at);
    buf_done(&line);
}
