/*
 * admin.c - see admin.h.
 *
 * Events are rare, so their frames are built as trees and their keys sorted by the
 * encoder: a key can't end up in the wrong place.
 */
#include "wire/admin.h"

#include <string.h>

enum { WIRE_VERSION = 1 }; /* of the length-prefixed generation wire */

static const char *const lifecycle_names[] = {
    [LIFE_STARTING] = "starting", [LIFE_LOADING_MODEL] = "loading_model",
    [LIFE_READY] = "ready",       [LIFE_RESTARTING] = "restarting",
    [LIFE_FAILED] = "failed",     [LIFE_DRAINING] = "draining",
};

const char *lifecycle_name(enum lifecycle life)
{
    return lifecycle_names[life];
}

/* A member that is left out where there is nothing to say. */
static bool set_text(json_t *tree, const char *key, const char *text)
{
    return !text[0] || json_object_set_new(tree, key, json_string(text)) == 0;
}

static bool set_count(json_t *tree, const char *key, uint32_t count)
{
    return count == 0 || json_object_set_new(tree, key, json_integer(count)) == 0;
}

static bool set_true(json_t *tree, const char *key, bool value)
{
    return !value || json_object_set_new(tree, key, json_true()) == 0;
}

static enum err put_line(struct buf *out, const json_t *tree)
{
    CLEANUP(free_ptr) char *text = json_dumps(tree, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        return ERR_NO_MEMORY;
    size_t len = strlen(text);
    text[len] = '\n'; /* over the terminator: the line is complete */
    return buf_append(out, text, len + 1);
}

static json_t *status_tree(const char *status)
{
    return json_pack("{ss ss ss}", "id", "admin", "type", "status", "status", status);
}

enum err admin_put_status(struct buf *out, enum lifecycle life, const struct phase_news *phase)
{
    CLEANUP(json_drop) json_t *tree = status_tree(lifecycle_name(life));
    bool made = tree != NULL;
    if (phase)
        made = made && set_text(tree, "phase", phase_name(phase->phase)) &&
               set_text(tree, "path", phase->path) && set_count(tree, "n_ctx", phase->n_ctx);
    return made ? put_line(out, tree) : ERR_NO_MEMORY;
}

enum err admin_put_foreign(struct buf *out, const json_t *tree)
{
    const char *id = NULL, *type = NULL, *status = NULL;
    if (json_get_string(tree, "id", &id, NULL) || json_get_string(tree, "type", &type, NULL) ||
        json_get_string(tree, "status", &status, NULL))
        return ERR_PROTOCOL;
    if (!id || strcmp(id, "admin") != 0 || !type || strcmp(type, "status") != 0 || !status ||
        strcmp(status, lifecycle_names[LIFE_LOADING_MODEL]) != 0)
        return ERR_PROTOCOL;
    return put_line(out, tree);
}

/* What every backend has to say. */
static json_t *abilities_tree(const char *label, const struct capabilities *c)
{
    return json_pack("{si ss sb sb sb sb sb sb ss si sI}", "wire_version", WIRE_VERSION, "backend",
                     label, "v2", c->v2, "vision", c->vision, "audio", c->audio, "tools", c->tools,
                     "thinking", c->thinking, "embed", c->embed, "accelerator", c->accelerator,
                     "gpu_layers", c->gpu_layers, "slots", (json_int_t)c->slots);
}

enum err admin_put_capabilities(struct buf *out, const char *label, const struct capabilities *c)
{
    CLEANUP(json_drop) json_t *tree = status_tree("capabilities");
    bool made = tree && json_object_update_new(tree, abilities_tree(label, c)) == 0 &&
                set_true(tree, "rerank", c->rerank) &&
                set_text(tree, "cpu_variant", c->cpu_variant) &&
                set_text(tree, "model", c->model) && set_count(tree, "n_ctx", c->n_ctx);
    return made ? put_line(out, tree) : ERR_NO_MEMORY;
}
