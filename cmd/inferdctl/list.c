/*
 * list - tell which models are in the store.
 *
 *     inferdctl list [--json]
 */
#include <string.h>

#include "command.h"
#include "describe.h"
#include "storage.h"
#include "words.h"

enum { DIGEST_SHOWN = 12 };

static const struct flag flags[] = { STORAGE_FLAG_ROWS };

static size_t widest_name(const struct models *m)
{
    size_t widest = strlen("NAME");
    for (size_t i = 0; i < m->n; i++) {
        size_t len = strlen(m->at[i].name);
        widest = len > widest ? len : widest;
    }
    return widest;
}

static void row(struct output *out, int width, const struct model *m)
{
    const struct manifest *f = &m->manifest;
    bool readable = m->unreadable.code == OK;
    output_printf(out, "%-*s  %10s  %-*.*s  %s\n", width, m->name,
                  readable ? words_bytes(f->size_bytes).text : "-", DIGEST_SHOWN, DIGEST_SHOWN,
                  readable ? f->blob.hex : "-", model_state(m));
}

static void print(struct storage *s, const struct models *m)
{
    int width = (int)widest_name(m);
    if (m->n == 0 && !s->json)
        complain("there are no models in %s", s->store.root);
    else if (!s->json)
        output_printf(&s->out, "%-*s  %10s  %-*s  %s\n", width, "NAME", "SIZE", DIGEST_SHOWN,
                      "SHA-256", "STATE");
    for (size_t i = 0; i < m->n; i++) {
        if (s->json)
            output_json(&s->out, model_json(&s->store, &m->at[i]));
        else
            row(&s->out, width, &m->at[i]);
    }
}

static int list(struct storage *s)
{
    struct models models;
    struct error error;
    if (models_list(&s->store, &models, &error))
        return complain_with(TROUBLE, "%s", error.message);
    print(s, &models);
    models_done(&models);
    return output_verdict(&s->out, DONE);
}

static int run(struct args *args)
{
    struct storage s = { 0 };
    if (!storage_read(&s, args) || !storage_open(&s, args))
        return args->exit_code;
    int code = list(&s);
    storage_done(&s);
    return code;
}

const struct command command_list = {
    .name = "list",
    .words = "",
    .summary = "tell which models are in the store",
    .help = "Lists the models of the store.  \"missing\": there is a manifest, but its blob is\n"
            "gone; \"unreadable\": there is a manifest that is none.\n",
    .flags = flags,
    .n_flags = ARRAY_LEN(flags),
    .run = run,
};
