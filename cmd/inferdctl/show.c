/*
 * show - tell all that the store knows about a model.
 *
 *     inferdctl show NAME [--json]
 */
#include <string.h>

#include "command.h"
#include "describe.h"
#include "storage.h"
#include "words.h"

static const struct flag flags[] = { STORAGE_FLAG_ROWS };

static void row(struct output *out, const char *name, const char *value)
{
    if (value && value[0])
        output_printf(out, "%-12s %s\n", name, value);
}

static void print(struct storage *s, const struct model *m)
{
    const struct manifest *f = &m->manifest;
    struct output *out = &s->out;
    char path[STORE_PATH_MAX];
    store_blob_path(&s->store, &f->blob, path);
    row(out, "name", m->name);
    row(out, "state", model_state(m));
    row(out, "path", path);
    row(out, "sha256", f->blob.hex);
    output_printf(out, "%-12s %s (%llu bytes)\n", "size", words_bytes(f->size_bytes).text,
                  (unsigned long long)f->size_bytes);
    row(out, "format", f->format);
    row(out, "license", f->license);
    row(out, "registry", f->registry);
    row(out, "repo", f->repo);
    row(out, "revision", f->revision);
    row(out, "filename", f->filename);
    row(out, "produced by", f->produced_by);
    row(out, "produced at", f->produced_at);
}

static int show_one(struct storage *s, const struct model *m)
{
    if (m->unreadable.code)
        return complain_with(TROUBLE, "%s", m->unreadable.message);
    if (s->json)
        output_json(&s->out, model_json(&s->store, m));
    else
        print(s, m);
    return output_verdict(&s->out, DONE);
}

static int show(struct storage *s)
{
    struct models models;
    struct error error;
    if (models_list(&s->store, &models, &error))
        return complain_with(TROUBLE, "%s", error.message);
    const struct model *m = NULL;
    for (size_t i = 0; i < models.n; i++)
        if (strcmp(models.at[i].name, s->word) == 0)
            m = &models.at[i];
    int code = m ? show_one(s, m)
                 : complain_with(TROUBLE, "there is no model \"%s\" in the store at '%s'", s->word,
                                 s->store.root);
    models_done(&models);
    return code;
}

static int run(struct args *args)
{
    struct storage s = { 0 };
    if (!storage_read(&s, args))
        return args->exit_code;
    if (!storage_has_name(&s))
        return TROUBLE;
    if (!storage_open(&s, args))
        return args->exit_code;
    int code = show(&s);
    storage_done(&s);
    return code;
}

const struct command command_show = {
    .name = "show",
    .words = "NAME",
    .summary = "tell all that the store knows about a model",
    .help = "Tells where a model lies, what its bytes are and where they came from.\n",
    .flags = flags,
    .n_flags = ARRAY_LEN(flags),
    .run = run,
};
