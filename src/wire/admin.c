/*
 * admin.c - see admin.h.
 *
 * Events are rare, so their frames are built as trees and their keys sorted by the
 * encoder: a key can't end up in the wrong place.
 */
#include "wire/admin.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

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

enum err admin_put_line(struct buf *out, const json_t *tree)
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
               set_text(tree, "path", phase->path) && set_count(tree, "n_ctx", phase->n_ctx) &&
               set_count(tree, "percent", phase->percent);
    return made ? admin_put_line(out, tree) : ERR_NO_MEMORY;
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
    return admin_put_line(out, tree);
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
                set_text(tree, "cpu_variant", c->cpu_variant) && set_text(tree, "kv", c->kv) &&
                set_text(tree, "prefixes", c->prefixes) && set_text(tree, "sandbox", c->sandbox) &&
                set_text(tree, "model", c->model) && set_count(tree, "n_ctx", c->n_ctx);
    return made ? admin_put_line(out, tree) : ERR_NO_MEMORY;
}

/* --- orders ----------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *about; /* the member that says what it is about; NULL: nothing does */
} ops[] = {
    [ADMIN_STATS] = { "stats", NULL },        [ADMIN_RELOAD] = { "reload", NULL },
    [ADMIN_DRAIN] = { "drain", NULL },        [ADMIN_CANCEL] = { "cancel", "serial" },
    [ADMIN_UNLOAD] = { "unload", "backend" }, [ADMIN_LOAD] = { "load", "backend" },
};

const char *admin_op_name(enum admin_op op)
{
    return ops[op].name;
}

static enum err read_op(const json_t *tree, enum admin_op *ret, char name[ADMIN_OP_MAX + 1],
                        struct error *error)
{
    const char *op = NULL;
    if (!json_is_object(tree))
        return fail(error, ERR_INVALID_REQUEST, "an order is an object, as {\"op\":\"stats\"}");
    if (json_get_string(tree, "op", &op, error))
        return ERR_INVALID_REQUEST;
    if (!op)
        return fail(error, ERR_INVALID_REQUEST, "the order has no op");
    snprintf(name, ADMIN_OP_MAX + 1, "%.*s", (int)utf8_whole(op, strnlen(op, ADMIN_OP_MAX)), op);
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        if (strcmp(ops[i].name, op) == 0) {
            *ret = (enum admin_op)i;
            return OK;
        }
    }
    return fail(error, ERR_INVALID_REQUEST,
                "unknown op \"%.80s\"; there are stats, reload, drain, cancel, unload and load",
                op);
}

/* A misspelt member would change what the order means. */
static enum err check_members(const json_t *tree, enum admin_op op, struct error *error)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)tree, key, value)
    {
        if (strcmp(key, "op") != 0 && (!ops[op].about || strcmp(key, ops[op].about) != 0))
            return fail(error, ERR_INVALID_REQUEST, "%s has no member \"%.80s\"", ops[op].name,
                        key);
    }
    return OK;
}

static enum err read_about(const json_t *tree, struct admin_order *order, struct error *error)
{
    const char *label = NULL;
    enum err e = json_get_u64(tree, "serial", &order->serial, error);
    if (!e)
        e = json_get_string(tree, "backend", &label, error);
    if (e)
        return ERR_INVALID_REQUEST;
    if (order->op == ADMIN_CANCEL && order->serial == 0)
        return fail(error, ERR_INVALID_REQUEST, "cancel needs the \"serial\" of a request");
    if ((order->op == ADMIN_LOAD || order->op == ADMIN_UNLOAD) && !label)
        return fail(error, ERR_INVALID_REQUEST, "%s needs a \"backend\"", ops[order->op].name);
    if (label && strlen(label) >= ADMIN_LABEL_MAX)
        return fail(error, ERR_INVALID_REQUEST, "no backend has a name of %zu bytes",
                    strlen(label));
    snprintf(order->backend, sizeof order->backend, "%s", label ? label : "");
    return OK;
}

enum err admin_read_order(const char *line, size_t len, struct admin_order *ret,
                          char op[ADMIN_OP_MAX + 1], struct error *error)
{
    CLEANUP(json_drop) json_t *tree = NULL;
    struct admin_order order = { 0 };
    op[0] = '\0';
    enum err e = json_read(line, len, &tree, error);
    if (e)
        return e == ERR_NO_MEMORY ? e : ERR_INVALID_REQUEST;
    e = read_op(tree, &order.op, op, error);
    if (!e)
        e = check_members(tree, order.op, error);
    if (!e)
        e = read_about(tree, &order, error);
    if (!e)
        *ret = order;
    return e;
}

/* --- replies ---------------------------------------------------------------- */

static json_t *reply_tree(const char *op, bool ok)
{
    return json_pack("{ss ss ss sb}", "id", "admin", "type", "reply", "op", op, "ok", ok);
}

static bool set_notes(json_t *tree, const struct buf *notes)
{
    json_t *list = json_array();
    const char *end;
    for (size_t at = 0; at < notes->len; at = (size_t)(end - notes->at) + 1) {
        end = memchr(notes->at + at, '\n', notes->len - at);
        const char *from = notes->at + at;
        if (json_array_append_new(list, json_stringn(from, (size_t)(end - from))) < 0) {
            json_decref(list);
            return false;
        }
    }
    return json_object_set_new(tree, "notes", list) == 0;
}

enum err admin_put_done(struct buf *out, const char *op, const struct buf *notes)
{
    CLEANUP(json_drop) json_t *tree = reply_tree(op, true);
    bool made = tree && (notes->len == 0 || set_notes(tree, notes));
    return made ? admin_put_line(out, tree) : ERR_NO_MEMORY;
}

enum err admin_put_refusal(struct buf *out, const char *op, const struct error *why)
{
    CLEANUP(json_drop) json_t *tree = reply_tree(op, false);
    return tree && set_text(tree, "error", why->message) ? admin_put_line(out, tree)
                                                         : ERR_NO_MEMORY;
}
