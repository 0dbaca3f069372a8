/*
 * v1.c - the first generation wire: text in, text out, one JSON object per line.
 *
 *     -> {"id":"a","messages":[{"role":"user","content":"Hi"}]}
 *     <- {"type":"token","id":"a","content":"Hello"}
 *     <- {"type":"done","id":"a","content":"Hello","usage":{...},...}
 *
 * docs/protocol-v1.md is this wire for those who write clients.
 *
 * A member of a request is one row of `fields` and one function; those that say how the
 * answer is chosen are the same on every wire (proto/sampling.h).  All of them are read
 * even when one is out of range, because a wrong type anywhere means that the client
 * speaks something else, and ends the conversation; a value out of range is only a
 * request that can't be done.
 *
 * The wire has no frame for thinking, so thinking is left out.
 */
#include <math.h>
#include <string.h>

#include "proto/sampling.h"
#include "wire/surface.h"

enum {
    DEPTH_MAX = 64,
    SHOWN_MAX = 80, /* characters of a value that a message repeats */
};

/* --- requests --------------------------------------------------------------- */

static enum err read_id(const json_t *root, struct ask *ask, struct error *error)
{
    const char *id = "";
    enum err e = json_get_string(root, "id", &id, error);
    if (e)
        return e;
    if (strlen(id) > ID_BYTES_MAX)
        return fail(error, ERR_INVALID_REQUEST, "id has %zu bytes; at most %d are allowed",
                    strlen(id), ID_BYTES_MAX);
    char *copy = strdup(id);
    if (!copy)
        return fail_nomem(error);
    free(ask->id);
    ask->id = copy;
    return OK;
}

/* The bytes of `s` that a message shows. */
static int shown(const char *s)
{
    size_t n = 0;
    for (size_t characters = 0; s[n]; n++) {
        bool starts = ((uint8_t)s[n] & 0xC0) != 0x80;
        if (starts && characters++ == SHOWN_MAX)
            break;
    }
    return (int)n;
}

static enum err read_message(const json_t *object, size_t i, struct message *ret,
                             struct error *error)
{
    if (!json_is_object(object))
        return fail(error, ERR_PROTOCOL, "messages[%zu] must be an object", i);
    const char *role = json_string_value(json_object_get(object, "role"));
    if (!role)
        return fail(error, ERR_PROTOCOL, "messages[%zu].role must be a string", i);
    if (!role_from_name(role, &ret->role))
        return fail(error, ERR_PROTOCOL,
                    "messages[%zu].role is \"%.*s\"; it must be \"system\", \"user\" or "
                    "\"assistant\"",
                    i, shown(role), role);
    const json_t *content = json_object_get(object, "content");
    if (!json_is_string(content))
        return fail(error, ERR_PROTOCOL, "messages[%zu].content must be a string", i);
    ret->content = (struct slice){ json_string_value(content), json_string_length(content) };
    return OK;
}

static enum err read_messages(const json_t *root, struct ask *ask, struct error *error)
{
    struct generate *g = &ask->generate;
    const json_t *list = json_object_get(root, "messages");
    if (!json_is_array(list))
        return fail(error, ERR_PROTOCOL, "messages %s",
                    list ? "must be an array" : "is missing; it must be an array");
    size_t n = json_array_size(list);
    if (n == 0)
        return fail(error, ERR_INVALID_REQUEST, "messages must not be empty");
    g->messages = calloc(n, sizeof *g->messages);
    if (!g->messages)
        return fail_nomem(error);
    for (size_t i = 0; i < n; i++) {
        enum err e = read_message(json_array_get(list, i), i, &g->messages[i], error);
        if (e)
            return e;
    }
    g->n_messages = n;
    return OK;
}

static enum err read_stream(const json_t *root, struct ask *ask, struct error *error)
{
    return json_get_bool(root, "stream", &ask->stream, error);
}

/* A client may lower itself, and no more. */
static enum err read_priority(const json_t *root, struct ask *ask, struct error *error)
{
    int64_t v = 0;
    enum err e = json_get_int(root, "priority", -1, 0, &v, error);
    ask->later = !e && v < 0;
    return e;
}

/* Checked for those who send it, and of no further use: there are no images here. */
static enum err read_image_token_budget(const json_t *root, struct ask *ask UNUSED,
                                        struct error *error)
{
    static const int64_t budgets[] = { 70, 140, 280, 560, 1120 };
    int64_t v = budgets[0];
    enum err e = json_get_int(root, "image_token_budget", INT64_MIN, INT64_MAX, &v, error);
    if (e)
        return e;
    for (size_t i = 0; i < ARRAY_LEN(budgets); i++)
        if (v == budgets[i])
            return OK;
    return fail(error, ERR_INVALID_REQUEST,
                "image_token_budget %lld not in [70, 140, 280, 560, 1120]", (long long)v);
}

static enum err (*const fields[])(const json_t *root, struct ask *ask, struct error *error) = {
    read_id, read_messages, read_stream, read_priority, read_image_token_budget,
};

static enum err read_field(size_t i, const json_t *root, struct ask *ask, struct error *error)
{
    if (i < ARRAY_LEN(fields))
        return fields[i](root, ask, error);
    return sampling_fields[i - ARRAY_LEN(fields)](root, &ask->generate, error);
}

/* The first value out of range counts, unless there is something worse. */
static enum err read_fields(const json_t *root, struct ask *ask, struct error *error)
{
    struct error first = { .code = OK };
    for (size_t i = 0; i < ARRAY_LEN(fields) + SAMPLING_FIELDS; i++) {
        struct error why;
        enum err e = read_field(i, root, ask, &why);
        if (e && e != ERR_INVALID_REQUEST) {
            *error = why;
            return e;
        }
        if (e && !first.code)
            first = why;
    }
    if (first.code)
        *error = first;
    return first.code;
}

static enum err read_request(const char *line, size_t len, struct ask *ask, struct error *error)
{
    ask->id = strdup("");
    if (!ask->id)
        return fail_nomem(error);
    enum err e = json_read(line, len, &ask->generate.tree, error);
    if (e)
        return e;
    if (!json_is_object(ask->generate.tree))
        return fail(error, ERR_PROTOCOL, "a request must be a JSON object");
    e = read_fields(ask->generate.tree, ask, error);
    if (e == ERR_PROTOCOL)
        ask->id[0] = '\0';
    return e;
}

static enum err decode(const char *line, size_t len, struct ask *ret, struct error *error)
{
    struct error why;
    ask_init(ret);
    enum err e = read_request(line, len, ret, &why);
    if (!e)
        return OK;
    const char *prefix = "";
    if (e == ERR_PROTOCOL)
        prefix = "decode: ";
    else if (e == ERR_INVALID_REQUEST)
        prefix = "invalid request: ";
    return fail(error, e, "%s%s", prefix, why.message);
}

/* --- answers ---------------------------------------------------------------- */

static const char *const stop_names[] = {
    [STOP_END] = "end",
    [STOP_LENGTH] = "length",
    [STOP_CANCELLED] = "cancelled",
    [STOP_ERROR] = "error",
};

/* `{"type":"token","id":"a"` */
static enum err put_head(struct buf *out, const char *type, const struct answer *a)
{
    enum err e = buf_printf(out, "{\"type\":\"%s\",\"id\":", type);
    if (!e)
        e = a ? buf_append(out, a->id.at, a->id.len) : buf_append_str(out, "\"\"");
    return e;
}

/* `,"content":"Hello"`; `text` is escaped. */
static enum err put_content(struct buf *out, const char *text, size_t len)
{
    enum err e = buf_append_str(out, ",\"content\":\"");
    if (!e)
        e = buf_append(out, text, len);
    if (!e)
        e = buf_append_str(out, "\"");
    return e;
}

static enum err put_token(struct buf *out, const struct answer *a, size_t from)
{
    enum err e = put_head(out, "token", a);
    if (!e)
        e = put_content(out, a->text.at + from, a->text.len - from);
    if (!e)
        e = buf_append_str(out, "}\n");
    return e;
}

static enum err put_text(struct answer *a, enum text_kind kind, struct slice text, struct buf *out)
{
    if (kind != TEXT_ANSWER || text.len == 0)
        return OK;
    size_t kept = a->text.len;
    size_t before = out->len;
    enum err e = json_put_escaped(&a->text, text.at, text.len);
    if (!e && a->stream)
        e = put_token(out, a, kept);
    if (e) {
        a->text.len = kept;
        out->len = before;
    }
    return e;
}

static enum err put_timings(struct buf *out, const struct outcome *o)
{
    double speed = outcome_speed(o);
    return buf_printf(out,
                      ",\"timings\":{\"queue_ms\":%.3f,\"prompt_ms\":%.3f,\"first_token_ms\":%.3f,"
                      "\"generate_ms\":%.3f,\"tokens_per_second\":%.2f}",
                      o->queue_ms, o->prompt_ms, o->first_token_ms, o->generate_ms,
                      isfinite(speed) ? speed : 0);
}

static enum err put_outcome(struct buf *out, const struct outcome *o, const char *backend)
{
    enum err e =
        buf_printf(out,
                   ",\"usage\":{\"prompt_tokens\":%llu,\"completion_tokens\":%llu,"
                   "\"cached_tokens\":%llu},\"stop_reason\":\"%s\",\"backend\":",
                   (unsigned long long)o->prompt_tokens, (unsigned long long)o->completion_tokens,
                   (unsigned long long)o->cached_tokens, stop_names[o->stop]);
    if (!e)
        e = json_put_string(out, backend, strlen(backend));
    if (!e)
        e = put_timings(out, o);
    return e;
}

static enum err put_done(struct answer *a, const struct outcome *outcome, const char *backend,
                         struct buf *out)
{
    size_t before = out->len;
    enum err e = put_head(out, "done", a);
    if (!e)
        e = put_content(out, a->text.at, a->text.len);
    if (!e)
        e = put_outcome(out, outcome, backend);
    if (!e)
        e = buf_append_str(out, "}\n");
    if (e)
        out->len = before;
    return e;
}

/* What could not be decoded is the client's mistake, not ours. */
static const char *wire_code(const struct answer *a, enum err code)
{
    return error_wire_name(code == ERR_PROTOCOL && !a ? ERR_INVALID_REQUEST : code);
}

static enum err put_crowd(struct buf *out, const struct crowd *crowd)
{
    return buf_printf(out, ",\"queue_depth\":%zu,\"retry_after_ms\":%u", crowd->queue_depth,
                      crowd->retry_after_ms);
}

static enum err put_error(const struct answer *a, const struct error *error,
                          const struct crowd *crowd, struct buf *out)
{
    size_t before = out->len;
    enum err e = put_head(out, "error", a);
    if (!e)
        e = buf_printf(out, ",\"code\":\"%s\",\"message\":", wire_code(a, error->code));
    if (!e)
        e = json_put_string(out, error->message, strlen(error->message));
    if (!e && crowd && error->code == ERR_QUEUE_FULL)
        e = put_crowd(out, crowd);
    if (!e)
        e = buf_append_str(out, "}\n");
    if (e)
        out->len = before;
    return e;
}

const struct surface surface_v1 = {
    .name = "v1",
    .max_depth = DEPTH_MAX,
    .decode = decode,
    .put_text = put_text,
    .put_done = put_done,
    .put_error = put_error,
};
