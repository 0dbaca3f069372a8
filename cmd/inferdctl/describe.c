/*
 * describe.c - see describe.h.
 */
#include "describe.h"

#include "words.h"

const char *model_state(const struct model *m)
{
    if (m->unreadable.code)
        return "unreadable";
    return m->present ? "present" : "missing";
}

json_t *model_json(const struct store *s, const struct model *m)
{
    const struct manifest *f = &m->manifest;
    if (m->unreadable.code)
        return json_pack("{ss ss so}", "name", m->name, "state", model_state(m), "error",
                         json_text(m->unreadable.message));
    char path[STORE_PATH_MAX];
    store_blob_path(s, &f->blob, path);
    return json_pack("{ss ss ss sI ss ss? so s{ss ss ss ss} ss ss}", "name", m->name, "state",
                     model_state(m), "sha256", f->blob.hex, "size_bytes", (json_int_t)f->size_bytes,
                     "format", f->format, "license", f->license, "path", json_text(path), "source",
                     "registry", f->registry, "repo", f->repo, "revision", f->revision, "filename",
                     f->filename, "produced_by", f->produced_by, "produced_at", f->produced_at);
}
