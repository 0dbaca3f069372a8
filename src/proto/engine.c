/*
 * engine.c - orders and events, to frames and back.
 *
 * Text is the hot path and is not JSON: `uvarint serial . 1 byte kind . bytes`; what
 * ends a request has a file of its own (done.h).  Everything else is rare enough for a
 * tree.
 *
 * Reading trusts nobody: an engine that parsed a hostile model may send anything.
 */
#include "proto/engine.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "proto/done.h"
#include "proto/sampling.h"

static const char *const order_names[] = {
#define X(name, wire) [ORDER_##name] = wire,
    ORDER_LIST(X)
#undef X
};

static const char *const event_names[] = {
#define X(name, wire) [EVENT_##name] = wire,
    EVENT_LIST(X)
#undef X
};

static const char *const phase_names[] = {
    [PHASE_CHECKING_LOCAL] = "checking_local",
    [PHASE_VERIFY] = "verify",
    [PHASE_MMAP] = "mmap",
    [PHASE_KV_CACHE] = "kv_cache",
};

const char *phase_name(enum phase phase)
{
    return phase_names[phase];
}

/* The place of `name` in a table of names; false if it is not there. */
static bool find_name(const char *const *names, size_t n, const char *name, unsigned *ret)
{
    for (size_t i = 0; name && name[0] && i < n; i++) {
        if (strcmp(names[i], name) == 0) {
            *ret = (unsigned)i;
            return true;
        }
    }
    return false;
}

/* A string for the reader's eyes: paths need not be UTF-8, JSON must be.  NULL if
 * there is no memory. */
static json_t *shown(const char *s)
{
    CLEANUP(free_ptr) char *copy = strdup(s);
    if (!copy)
        return NULL;
    utf8_scrub(copy, strlen(copy));
    return json_string_nocheck(copy);
}

/* Take `tree` (NULL: it could not be built) and append it as a JSON frame. */
static enum err put_tree(struct buf *out, json_t *tree)
{
    CLEANUP(json_drop) json_t *owned = tree;
    if (!owned)
        return ERR_NO_MEMORY;
    struct buf payload;
    buf_init(&payload, ENGINE_FRAME_MAX);
    enum err e = json_put(&payload, owned);
    if (!e)
        e = frame_put(out, FRAME_JSON, payload.at, payload.len);
    buf_done(&payload);
    return e;
}

/* A frame that must be a JSON object with a "type" of `names`, and perhaps a serial
 * (else 0). */
static enum err read_tree(const struct frame *frame, const char *const *names, size_t n,
                          unsigned *ret_kind, uint64_t *ret_serial, json_t **ret_tree,
                          struct error *error)
{
    if (frame->type != FRAME_JSON)
        return fail(error, ERR_PROTOCOL, "unexpected frame type 0x%02x", frame->type);
    CLEANUP(json_drop) json_t *tree = NULL;
    enum err e = json_read(frame->payload.at, frame->payload.len, &tree, error);
    if (e)
        return e;
    const char *type = json_string_value(json_object_get(tree, "type"));
    if (!find_name(names, n, type, ret_kind))
        return fail(error, ERR_PROTOCOL, "unknown message type '%.32s'", type ? type : "");
    e = json_get_u64(tree, "serial", ret_serial, error);
    if (e)
        return e;
    *ret_tree = TAKE(tree);
    return OK;
}

/* --- orders ---------------------------------------------------------------- */

enum err order_put(struct buf *out, enum order_kind kind, uint64_t serial)
{
    json_t *tree = json_pack("{ss}", "type", order_names[kind]);
    if (tree && serial &&
        json_object_set_new(tree, "serial", json_integer((json_int_t)serial)) < 0) {
        json_decref(tree);
        tree = NULL;
    }
    return put_tree(out, tree);
}

/* The CPU variants to avoid; NULL if there is no memory. */
static json_t *avoid_array(const struct load *load)
{
    CLEANUP(json_drop) json_t *avoid = json_array();
    for (size_t i = 0; avoid && i < AVOID_MAX && load->avoid[i]; i++)
        if (json_array_append_new(avoid, json_string(load->avoid[i])) < 0)
            return NULL;
    return TAKE(avoid);
}

enum err order_put_load(struct buf *out, const struct load *load)
{
    CLEANUP(json_drop) json_t *avoid = avoid_array(load);
    CLEANUP(json_drop) json_t *name = shown(load->name);
    CLEANUP(json_drop) json_t *path = load->model_path ? shown(load->model_path) : json_null();
    CLEANUP(json_drop) json_t *cache = load->cache_dir ? json_string(load->cache_dir) : NULL;
    if (!avoid || !name || !path)
        return ERR_NO_MEMORY;
    /* A cache directory that JSON can't name is none: engines live without. */
    return put_tree(out, json_pack("{ss si sO sI sO sO* sO sO}", "type", order_names[ORDER_LOAD],
                                   "protocol", ENGINE_PROTOCOL_VERSION, "name", name, "slots",
                                   (json_int_t)load->slots, "model_path", path, "cache_dir", cache,
                                   "avoid_variants", avoid, "options", load->options));
}

static enum err put_question(struct buf *out, uint64_t serial, const struct generate *g,
                             size_t *ret_said)
{
    enum err e = buf_printf(out, "{\"type\":\"generate\",\"serial\":%llu,\"uid\":%u,\"program\":%u",
                            (unsigned long long)serial, g->asker.uid, g->asker.program);
    *ret_said = out->len;
    if (!e)
        e = sampling_put(out, g);
    for (size_t i = 0; !e && i < g->n_messages; i++)
        e = buf_printf(out, "%s{\"role\":\"%s\",\"bytes\":%zu}", i ? "," : ",\"messages\":[",
                       role_name(g->messages[i].role), g->messages[i].content.len);
    if (!e)
        e = buf_append_str(out, "]}");
    return e;
}

/* The text of all messages, one after the other, as one frame. */
static enum err put_messages(struct buf *out, const struct generate *g)
{
    uint8_t head[FRAME_HEAD_MAX];
    size_t len = 0;
    for (size_t i = 0; i < g->n_messages; i++)
        len += g->messages[i].content.len; /* together they were one client's frame */
    enum err e = buf_reserve(out, FRAME_HEAD_MAX + len);
    if (!e)
        e = buf_append(out, head, frame_head(head, FRAME_BLOB, len));
    for (size_t i = 0; !e && i < g->n_messages; i++)
        e = buf_append(out, g->messages[i].content.at, g->messages[i].content.len);
    return e;
}

enum err order_put_generate(struct buf *out, uint64_t serial, const struct generate *g,
                            size_t *ret_said)
{
    struct buf question;
    size_t said = 0;
    buf_init(&question, ENGINE_FRAME_MAX);
    enum err e = put_question(&question, serial, g, &said);
    if (!e)
        e = frame_put(out, FRAME_JSON, question.at, question.len);
    if (!e)
        *ret_said = out->len - (question.len - said);
    if (!e)
        e = put_messages(out, g);
    buf_done(&question);
    return e;
}

static enum err read_load(json_t *tree, struct load *ret, struct error *error)
{
    static const char *const nothing = "";
    struct load load = { .name = nothing, .slots = 1 };
    uint32_t protocol = 0;
    enum err e = json_get_u32(tree, "protocol", 0, UINT32_MAX, &protocol, error);
    if (!e)
        e = json_get_string(tree, "name", &load.name, error);
    if (!e)
        e = json_get_u32(tree, "slots", 1, 1024, &load.slots, error);
    if (!e)
        e = json_get_string(tree, "model_path", &load.model_path, error);
    if (!e)
        e = json_get_string(tree, "cache_dir", &load.cache_dir, error);
    if (e)
        return e;
    if (protocol != ENGINE_PROTOCOL_VERSION)
        return fail(error, ERR_PROTOCOL, "the daemon speaks engine protocol %u, this engine %d",
                    protocol, ENGINE_PROTOCOL_VERSION);

    const json_t *avoid = json_object_get(tree, "avoid_variants");
    for (size_t i = 0; i < AVOID_MAX && i < json_array_size(avoid); i++)
        if (!(load.avoid[i] = json_string_value(json_array_get(avoid, i))))
            return fail(error, ERR_PROTOCOL, "avoid_variants must be strings");

    load.options = json_object_get(tree, "options");
    if (!json_is_object(load.options))
        return fail(error, ERR_PROTOCOL, "load has no options");
    *ret = load;
    return OK;
}

/* The role of a message and how long its text is; where it is, is known later. */
static enum err read_message(const json_t *tree, struct message *ret, struct error *error)
{
    const char *role = json_string_value(json_object_get(tree, "role"));
    int64_t bytes = -1;
    enum err e = json_get_int(tree, "bytes", 0, ENGINE_FRAME_MAX, &bytes, error);
    if (e)
        return e;
    if (!role || !role_from_name(role, &ret->role) || bytes < 0)
        return fail(error, ERR_PROTOCOL, "a message needs a role and the number of its bytes");
    ret->content.len = (size_t)bytes;
    return OK;
}

static enum err read_messages(const json_t *tree, struct order *order, struct error *error)
{
    struct generate *g = &order->generate;
    const json_t *messages = json_object_get(tree, "messages");
    size_t n = json_array_size(messages);
    if (n == 0)
        return fail(error, ERR_PROTOCOL, "generate has no messages");
    g->messages = calloc(n, sizeof *g->messages);
    if (!g->messages)
        return fail_nomem(error);

    enum err e = OK;
    for (; !e && g->n_messages < n; g->n_messages++) {
        struct message *m = &g->messages[g->n_messages];
        e = read_message(json_array_get(messages, g->n_messages), m, error);
        order->text_len += m->content.len;
        if (!e && order->text_len > ENGINE_FRAME_MAX)
            e = fail(error, ERR_PROTOCOL, "messages of more than %d bytes", ENGINE_FRAME_MAX);
    }
    return e;
}

static enum err read_generate(json_t *tree, struct order *order, struct error *error)
{
    enum err e = read_messages(tree, order, error);
    if (!e)
        e = json_get_u32(tree, "uid", 0, UINT32_MAX, &order->generate.asker.uid, error);
    if (!e)
        e = json_get_u32(tree, "program", 0, UINT32_MAX, &order->generate.asker.program, error);
    for (size_t i = 0; !e && i < SAMPLING_FIELDS; i++)
        e = sampling_fields[i](tree, &order->generate, error);
    return e;
}

/* Is the order about one request? */
static bool needs_serial(enum order_kind kind)
{
    return kind == ORDER_GENERATE || kind == ORDER_CANCEL || kind == ORDER_PAUSE ||
           kind == ORDER_RESUME;
}

enum err order_read(const struct frame *frame, struct order *ret, struct error *error)
{
    struct order order = { 0 };
    unsigned kind;
    enum err e = read_tree(frame, order_names, ARRAY_LEN(order_names), &kind, &order.serial,
                           &order.tree, error);
    if (e)
        return e;

    order.kind = (enum order_kind)kind;
    generate_init(&order.generate);
    if (needs_serial(order.kind) && order.serial == 0)
        e = fail(error, ERR_PROTOCOL, "%s without a serial", order_names[kind]);
    if (!e && order.kind == ORDER_LOAD)
        e = read_load(order.tree, &order.load, error);
    if (!e && order.kind == ORDER_GENERATE)
        e = read_generate(order.tree, &order, error);
    if (e) {
        order_done(&order);
        return e;
    }
    *ret = order;
    return OK;
}

enum err order_read_text(struct order *order, const struct frame *frame, struct error *error)
{
    if (frame->type != FRAME_BLOB || frame->payload.len != order->text_len)
        return fail(error, ERR_PROTOCOL,
                    "generate was not followed by a BLOB of %zu bytes, the text of its messages",
                    order->text_len);
    order->text = malloc(order->text_len + 1); /* one more: it may be empty */
    if (!order->text)
        return fail_nomem(error);
    memcpy(order->text, frame->payload.at, order->text_len);

    char *at = order->text;
    for (size_t i = 0; i < order->generate.n_messages; i++) {
        struct slice *content = &order->generate.messages[i].content;
        content->at = at;
        at += content->len;
    }
    return OK;
}

void order_done(struct order *order)
{
    generate_done(&order->generate);
    free(order->text);
    order->text = NULL;
    json_decref(order->tree);
    order->tree = NULL;
}

/* --- events ---------------------------------------------------------------- */

static enum err put_text(struct buf *out, const struct event *event)
{
    uint8_t head[VARINT_MAX + 1];
    size_t n = varint_put(head, event->serial);
    head[n++] = (uint8_t)event->text_kind;

    uint8_t frame[FRAME_HEAD_MAX];
    size_t m = frame_head(frame, FRAME_TEXT, n + event->text.len);
    enum err e = buf_reserve(out, m + n + event->text.len);
    if (!e)
        e = buf_append(out, frame, m);
    if (!e)
        e = buf_append(out, head, n);
    if (!e)
        e = buf_append(out, event->text.at, event->text.len);
    return e;
}

static json_t *phase_tree(const struct phase_news *p)
{
    return json_pack("{ss ss so sI sI so}", "type", event_names[EVENT_PHASE], "phase",
                     phase_name(p->phase), "path", shown(p->path), "n_ctx", (json_int_t)p->n_ctx,
                     "percent", (json_int_t)p->percent, "cpu_variant", shown(p->cpu_variant));
}

static json_t *ready_tree(const struct capabilities *c)
{
    return json_pack("{ss sb sb sb sb sb sb sb sb so so si sI sI so so so sI sI so so}", "type",
                     event_names[EVENT_READY], "v2", c->v2, "vision", c->vision, "audio", c->audio,
                     "tools", c->tools, "thinking", c->thinking, "embed", c->embed, "rerank",
                     c->rerank, "grammar", c->grammar, "accelerator", shown(c->accelerator),
                     "device", shown(c->device), "gpu_layers", c->gpu_layers, "threads",
                     (json_int_t)c->threads, "batch_threads", (json_int_t)c->batch_threads,
                     "cpu_variant", shown(c->cpu_variant), "sandbox", shown(c->sandbox), "model",
                     shown(c->model), "n_ctx", (json_int_t)c->n_ctx, "slots", (json_int_t)c->slots,
                     "kv", shown(c->kv), "prefixes", shown(c->prefixes));
}

static json_t *usage_tree(const struct usage *u)
{
    return json_pack("{ss sI sI sI sI sI sI}", "type", event_names[EVENT_STATS], "context_used",
                     (json_int_t)u->context_used, "context_size", (json_int_t)u->context_size,
                     "prompt_tokens", (json_int_t)u->prompt_tokens, "cached_tokens",
                     (json_int_t)u->cached_tokens, "prefix_cache_bytes",
                     (json_int_t)u->prefix_cache_bytes, "prefix_cache_max",
                     (json_int_t)u->prefix_cache_max);
}

static json_t *error_tree(uint64_t serial, const struct error *error)
{
    return json_pack("{ss sI ss so}", "type", event_names[EVENT_ERROR], "serial",
                     (json_int_t)serial, "code", error_wire_name(error->code), "message",
                     shown(error->message));
}

enum err event_put(struct buf *out, const struct event *event)
{
    const char *type = event_names[event->kind];
    switch (event->kind) {
    case EVENT_TEXT:
        return put_text(out, event);
    case EVENT_DIGEST:
        return put_tree(out, json_pack("{ss ss}", "type", type, "sha256", event->digest));
    case EVENT_PHASE:
        return put_tree(out, phase_tree(&event->phase));
    case EVENT_READY:
        return put_tree(out, ready_tree(&event->capabilities));
    case EVENT_DONE:
        return done_put(out, event->serial, &event->outcome);
    case EVENT_ERROR:
        return put_tree(out, error_tree(event->serial, &event->error));
    case EVENT_PONG:
        return put_tree(out, json_pack("{ss sI sb}", "type", type, "progress",
                                       (json_int_t)event->progress, "busy", event->busy));
    case EVENT_STATS:
        return put_tree(out, usage_tree(&event->usage));
    }
    return ERR_INTERNAL;
}

static enum err read_text(struct slice payload, struct event *ret, struct error *error)
{
    size_t n = varint_read(payload, &ret->serial);
    if (n == 0 || payload.len < n + 1 || ret->serial == 0)
        return fail(error, ERR_PROTOCOL, "a text frame without a head");
    uint8_t kind = (uint8_t)payload.at[n];
    if (kind != TEXT_ANSWER && kind != TEXT_THINKING)
        return fail(error, ERR_PROTOCOL, "unknown kind of text 0x%02x", kind);
    struct utf8 u = { 0 };
    ret->kind = EVENT_TEXT;
    ret->text_kind = (enum text_kind)kind;
    ret->text = (struct slice){ payload.at + n + 1, payload.len - n - 1 };
    if (!utf8_feed(&u, ret->text.at, ret->text.len) || !utf8_complete(&u))
        return fail(error, ERR_PROTOCOL, "a text frame that is not whole UTF-8 characters");
    return OK;
}

/* Copy a string member, cut to fit. */
static enum err read_string(const json_t *tree, const char *name, char *ret, size_t size,
                            struct error *error)
{
    const char *s = "";
    enum err e = json_get_string(tree, name, &s, error);
    if (e)
        return e;
    size_t n = strlen(s);
    if (n >= size)
        n = utf8_whole(s, size - 1);
    memcpy(ret, s, n);
    ret[n] = '\0';
    return OK;
}

static enum err read_digest(const json_t *tree, char *ret, struct error *error)
{
    const char *s = "";
    enum err e = json_get_string(tree, "sha256", &s, error);
    if (e)
        return e;
    if (strlen(s) != SHA256_HEX || strspn(s, "0123456789abcdef") != SHA256_HEX)
        return fail(error, ERR_PROTOCOL, "a digest that is none");
    memcpy(ret, s, SHA256_HEX + 1);
    return OK;
}

static enum err read_phase(const json_t *tree, struct phase_news *ret, struct error *error)
{
    unsigned phase;
    const char *name = json_string_value(json_object_get(tree, "phase"));
    if (!find_name(phase_names, ARRAY_LEN(phase_names), name, &phase))
        return fail(error, ERR_PROTOCOL, "unknown phase '%.32s'", name ? name : "");
    ret->phase = (enum phase)phase;
    enum err e = read_string(tree, "path", ret->path, sizeof ret->path, error);
    if (!e)
        e = read_string(tree, "cpu_variant", ret->cpu_variant, sizeof ret->cpu_variant, error);
    if (!e)
        e = json_get_u32(tree, "n_ctx", 0, UINT32_MAX, &ret->n_ctx, error);
    if (!e)
        e = json_get_u32(tree, "percent", 0, 100, &ret->percent, error);
    return e;
}

enum err capabilities_read(const json_t *tree, struct capabilities *c, struct error *error)
{
    const struct {
        const char *name;
        bool *ret;
    } flags[] = {
        { "v2", &c->v2 },         { "vision", &c->vision },     { "audio", &c->audio },
        { "tools", &c->tools },   { "thinking", &c->thinking }, { "embed", &c->embed },
        { "rerank", &c->rerank }, { "grammar", &c->grammar },
    };
    enum err e = OK;
    for (size_t i = 0; !e && i < ARRAY_LEN(flags); i++)
        e = json_get_bool(tree, flags[i].name, flags[i].ret, error);
    return e;
}

static enum err read_ready(const json_t *tree, struct capabilities *c, struct error *error)
{
    enum err e = capabilities_read(tree, c, error);
    int64_t layers = 0;
    if (!e)
        e = json_get_int(tree, "gpu_layers", 0, INT32_MAX, &layers, error);
    if (!e)
        e = read_string(tree, "accelerator", c->accelerator, sizeof c->accelerator, error);
    if (!e)
        e = read_string(tree, "device", c->device, sizeof c->device, error);
    if (!e)
        e = json_get_u32(tree, "threads", 0, UINT32_MAX, &c->threads, error);
    if (!e)
        e = json_get_u32(tree, "batch_threads", 0, UINT32_MAX, &c->batch_threads, error);
    if (!e)
        e = read_string(tree, "cpu_variant", c->cpu_variant, sizeof c->cpu_variant, error);
    if (!e)
        e = read_string(tree, "sandbox", c->sandbox, sizeof c->sandbox, error);
    if (!e)
        e = read_string(tree, "model", c->model, sizeof c->model, error);
    if (!e)
        e = json_get_u32(tree, "n_ctx", 0, UINT32_MAX, &c->n_ctx, error);
    if (!e)
        e = json_get_u32(tree, "slots", 1, 1024, &c->slots, error);
    if (!e)
        e = read_string(tree, "kv", c->kv, sizeof c->kv, error);
    if (!e)
        e = read_string(tree, "prefixes", c->prefixes, sizeof c->prefixes, error);
    c->gpu_layers = (int)layers;
    return e;
}

static enum err read_usage(const json_t *tree, struct usage *u, struct error *error)
{
    enum err e = json_get_u64(tree, "context_used", &u->context_used, error);
    if (!e)
        e = json_get_u64(tree, "context_size", &u->context_size, error);
    if (!e)
        e = json_get_u64(tree, "prompt_tokens", &u->prompt_tokens, error);
    if (!e)
        e = json_get_u64(tree, "cached_tokens", &u->cached_tokens, error);
    if (!e)
        e = json_get_u64(tree, "prefix_cache_bytes", &u->prefix_cache_bytes, error);
    if (!e)
        e = json_get_u64(tree, "prefix_cache_max", &u->prefix_cache_max, error);
    return e;
}

static enum err read_done(const json_t *tree, struct outcome *o, struct error *error)
{
    unsigned stop;
    const char *name = json_string_value(json_object_get(tree, "stop_reason"));
    if (!find_name(stop_names, ARRAY_LEN(stop_names), name, &stop))
        return fail(error, ERR_PROTOCOL, "unknown stop reason '%.32s'", name ? name : "");
    o->stop = (enum stop_reason)stop;
    enum err e = json_get_u64(tree, "prompt_tokens", &o->prompt_tokens, error);
    if (!e)
        e = json_get_u64(tree, "completion_tokens", &o->completion_tokens, error);
    if (!e)
        e = json_get_u64(tree, "cached_tokens", &o->cached_tokens, error);
    if (!e)
        e = json_get_double(tree, "prompt_ms", 0, 1e12, &o->prompt_ms, error);
    if (!e)
        e = json_get_double(tree, "first_token_ms", 0, 1e12, &o->first_token_ms, error);
    if (!e)
        e = json_get_double(tree, "generate_ms", 0, 1e12, &o->generate_ms, error);
    return e;
}

static enum err read_error(const json_t *tree, struct error *ret, struct error *error)
{
    const char *code = json_string_value(json_object_get(tree, "code"));
    if (!code || !error_from_wire_name(code, &ret->code))
        return fail(error, ERR_PROTOCOL, "unknown error code '%.32s'", code ? code : "");
    return read_string(tree, "message", ret->message, sizeof ret->message, error);
}

enum err event_read(const struct frame *frame, struct event *ret, struct error *error)
{
    struct event event = { 0 };
    if (frame->type == FRAME_TEXT) {
        enum err e = read_text(frame->payload, &event, error);
        if (!e)
            *ret = event;
        return e;
    }
    if (frame->type == FRAME_JSON && done_read(frame->payload, &event.serial, &event.outcome)) {
        event.kind = EVENT_DONE;
        *ret = event;
        return OK;
    }

    CLEANUP(json_drop) json_t *tree = NULL;
    unsigned kind;
    enum err e =
        read_tree(frame, event_names, ARRAY_LEN(event_names), &kind, &event.serial, &tree, error);
    if (e)
        return e;
    event.kind = (enum event_kind)kind;

    switch (event.kind) {
    case EVENT_DIGEST:
        e = read_digest(tree, event.digest, error);
        break;
    case EVENT_PHASE:
        e = read_phase(tree, &event.phase, error);
        break;
    case EVENT_READY:
        e = read_ready(tree, &event.capabilities, error);
        break;
    case EVENT_DONE:
        if (event.serial == 0)
            return fail(error, ERR_PROTOCOL, "done without a serial");
        e = read_done(tree, &event.outcome, error);
        break;
    case EVENT_ERROR:
        e = read_error(tree, &event.error, error);
        break;
    case EVENT_PONG:
        e = json_get_u64(tree, "progress", &event.progress, error);
        if (!e)
            e = json_get_bool(tree, "busy", &event.busy, error);
        break;
    case EVENT_STATS:
        e = read_usage(tree, &event.usage, error);
        break;
    case EVENT_TEXT:
        break;
    }
    if (!e)
        *ret = event;
    return e;
}
