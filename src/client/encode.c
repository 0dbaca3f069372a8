/*
 * encode.c - see encode.h.
 *
 * Everything that can be wrong with a request is looked for first (check), so that
 * writing it can only fail for want of room.  Strings go straight to text: a tree
 * of them would be one more copy of a prompt of many megabytes.
 *
 * Where nobody listens to the pieces of the answer, none are asked for.
 */
#include "client/encode.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

static const char *const role_names[] = {
    [INFERD_SYSTEM] = "system",
    [INFERD_USER] = "user",
    [INFERD_ASSISTANT] = "assistant",
};

/* --- what can be wrong ------------------------------------------------------ */

/* The offset of the first byte that can't be there. */
static size_t first_bad_byte(const char *text, size_t len)
{
    struct utf8 u = { 0 };
    size_t i = 0;
    while (i < len && utf8_feed(&u, text + i, 1))
        i++;
    return i;
}

static enum inferd_status check_text(const char *name, const char *text, struct inferd_error *error)
{
    struct utf8 u = { 0 };
    size_t len = strlen(text);
    if (utf8_feed(&u, text, len) && utf8_complete(&u))
        return INFERD_OK;
    return failure(error, INFERD_INVALID, "%s is not valid UTF-8 at byte %zu", name,
                   first_bad_byte(text, len));
}

static enum inferd_status check_message(const struct inferd_message *m, size_t i,
                                        struct inferd_error *error)
{
    char name[48];
    if ((size_t)m->role >= ARRAY_LEN(role_names))
        return failure(error, INFERD_INVALID, "messages[%zu].role is %d, which is no role", i,
                       (int)m->role);
    if (!m->content)
        return failure(error, INFERD_INVALID, "messages[%zu].content is NULL", i);
    snprintf(name, sizeof name, "messages[%zu].content", i);
    return check_text(name, m->content, error);
}

static enum inferd_status check_stop(const char *stop, size_t i, struct inferd_error *error)
{
    char name[32];
    snprintf(name, sizeof name, "stop[%zu]", i);
    if (!stop)
        return failure(error, INFERD_INVALID, "%s is NULL", name);
    return check_text(name, stop, error);
}

static enum inferd_status check_numbers(const struct inferd_request *r, struct inferd_error *error)
{
    const struct {
        const char *name;
        double value;
    } numbers[] = {
        { "temperature", r->temperature },
        { "top_p", r->top_p },
        { "min_p", r->min_p },
        { "repeat_penalty", r->repeat_penalty },
        { "presence_penalty", r->presence_penalty },
        { "frequency_penalty", r->frequency_penalty },
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (!isfinite(numbers[i].value))
            return failure(error, INFERD_INVALID, "%s is not a finite number", numbers[i].name);
    for (size_t i = 0; i < r->n_logit_bias; i++)
        if (!isfinite(r->logit_bias[i].bias))
            return failure(error, INFERD_INVALID, "logit_bias[%zu].bias is not a finite number", i);
    return INFERD_OK;
}

static enum inferd_status check(const struct inferd_request *r, struct inferd_error *error)
{
    if (!r->messages || r->n_messages == 0)
        return failure(error, INFERD_INVALID, "a request needs at least one message");
    enum inferd_status status = check_numbers(r, error);
    if (!status && r->id)
        status = check_text("id", r->id, error);
    if (!status && r->grammar)
        status = check_text("grammar", r->grammar, error);
    for (size_t i = 0; !status && i < r->n_stop; i++)
        status = check_stop(r->stop[i], i, error);
    for (size_t i = 0; !status && i < r->n_messages; i++)
        status = check_message(&r->messages[i], i, error);
    return status;
}

/* --- writing ---------------------------------------------------------------- */

static enum err put_string(struct buf *out, const char *key, const char *text)
{
    enum err e = buf_append_str(out, key);
    return e ? e : json_put_string(out, text, strlen(text));
}

/* jansson writes the decimal point of JSON, printf() that of the program's locale. */
static enum err put_double(struct buf *out, const char *key, double value)
{
    CLEANUP(json_drop) json_t *number = json_real(value);
    if (!number)
        return ERR_NO_MEMORY;
    enum err e = buf_append_str(out, key);
    return e ? e : json_put(out, number);
}

/* Where 0 is what holds without it. */
static enum err put_nonzero(struct buf *out, const char *key, double value)
{
    return value == 0 ? OK : put_double(out, key, value);
}

/* Where what is below 0 stands for the daemon's default. */
static enum err put_positive(struct buf *out, const char *key, double value)
{
    return value < 0 ? OK : put_double(out, key, value);
}

static enum err put_int(struct buf *out, const char *key, int64_t value)
{
    return value < 0 ? OK : buf_printf(out, "%s%lld", key, (long long)value);
}

static enum err put_stop(struct buf *out, const struct inferd_request *r)
{
    enum err e = OK;
    for (size_t i = 0; !e && i < r->n_stop; i++)
        e = put_string(out, i > 0 ? "," : ",\"stop\":[", r->stop[i]);
    return e || r->n_stop == 0 ? e : buf_append_str(out, "]");
}

static enum err put_logit_bias(struct buf *out, const struct inferd_request *r)
{
    enum err e = OK;
    for (size_t i = 0; !e && i < r->n_logit_bias; i++) {
        e = buf_printf(out, "%s\"%lu\":", i > 0 ? "," : ",\"logit_bias\":{",
                       (unsigned long)r->logit_bias[i].token);
        if (!e)
            e = put_double(out, "", r->logit_bias[i].bias);
    }
    return e || r->n_logit_bias == 0 ? e : buf_append_str(out, "}");
}

static enum err put_choice(struct buf *out, const struct inferd_request *r)
{
    enum err e = put_positive(out, ",\"temperature\":", r->temperature);
    if (!e)
        e = put_positive(out, ",\"top_p\":", r->top_p);
    if (!e)
        e = put_int(out, ",\"top_k\":", r->top_k);
    if (!e)
        e = put_nonzero(out, ",\"min_p\":", r->min_p);
    if (!e)
        e = put_nonzero(out, ",\"repeat_penalty\":", r->repeat_penalty);
    if (!e)
        e = put_nonzero(out, ",\"presence_penalty\":", r->presence_penalty);
    if (!e)
        e = put_nonzero(out, ",\"frequency_penalty\":", r->frequency_penalty);
    if (!e)
        e = put_logit_bias(out, r);
    return e;
}

static enum err put_messages(struct buf *out, const struct inferd_request *r)
{
    enum err e = buf_append_str(out, ",\"messages\":[");
    for (size_t i = 0; !e && i < r->n_messages; i++) {
        const struct inferd_message *m = &r->messages[i];
        e = buf_printf(out, "%s{\"role\":\"%s\"", i > 0 ? "," : "", role_names[m->role]);
        if (!e)
            e = put_string(out, ",\"content\":", m->content);
        if (!e)
            e = buf_append_str(out, "}");
    }
    return e ? e : buf_append_str(out, "]");
}

static enum err put_request(struct buf *out, const struct inferd_request *r)
{
    enum err e = put_string(out, "{\"id\":", r->id ? r->id : "");
    if (!e)
        e = put_choice(out, r);
    if (!e)
        e = put_int(out, ",\"max_tokens\":", r->max_tokens);
    if (!e)
        e = put_int(out, ",\"seed\":", r->seed);
    if (!e && r->grammar)
        e = put_string(out, ",\"grammar\":", r->grammar);
    if (!e)
        e = put_stop(out, r);
    if (!e && r->priority)
        e = buf_printf(out, ",\"priority\":%d", r->priority);
    if (!e && !r->on_text && !r->on_frame)
        e = buf_append_str(out, ",\"stream\":false");
    if (!e)
        e = put_messages(out, r);
    return e ? e : buf_append_str(out, "}\n");
}

enum inferd_status encode(const struct inferd_request *request, struct buf *out,
                          struct inferd_error *error)
{
    enum inferd_status status = check(request, error);
    if (status)
        return status;
    size_t before = out->len;
    enum err e = put_request(out, request);
    if (e == ERR_FRAME_TOO_LARGE || (!e && out->len - before - 1 > ENCODE_MAX))
        return failure(error, INFERD_INVALID,
                       "the request is too large: as JSON it has more than %d bytes, the most that "
                       "the daemon takes",
                       ENCODE_MAX);
    return e ? failure_nomem(error) : INFERD_OK;
}
