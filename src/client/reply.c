/*
 * reply.c - see reply.h.
 *
 * A daemon of another release may say more than this library knows, so unknown
 * keys and kinds are passed over, and numbers that only inform may be missing.
 * What an answer can't be without is its kind and its text.
 */
#include "client/reply.h"

#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

/* Copy as much as fits, whole characters only. */
static void copy_text(char *ret, size_t size, const char *text, size_t len)
{
    if (len >= size)
        len = utf8_whole(text, size - 1);
    memcpy(ret, text, len);
    ret[len] = '\0';
}

static void copy_member(char *ret, size_t size, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    copy_text(ret, size, json_is_string(value) ? json_string_value(value) : "",
              json_string_length(value));
}

static enum reply_kind kind_of(const json_t *tree)
{
    const char *type = json_string_value(json_object_get(tree, "type"));
    if (!type)
        return REPLY_OTHER;
    if (strcmp(type, "token") == 0)
        return REPLY_TOKEN;
    if (strcmp(type, "done") == 0)
        return REPLY_DONE;
    if (strcmp(type, "error") == 0)
        return REPLY_ERROR;
    return REPLY_OTHER;
}

enum inferd_status reply_read(struct slice line, struct reply *ret, struct inferd_error *error)
{
    json_error_t why;
    CLEANUP(json_drop) json_t *tree = json_loadb(line.at, line.len, JSON_ALLOW_NUL, &why);
    if (!tree && json_error_code(&why) == json_error_out_of_memory)
        return failure_nomem(error);
    if (!tree)
        return failure(error, INFERD_PROTOCOL, "the daemon sent a line that is not JSON: %s",
                       why.text);
    if (!json_is_object(tree))
        return failure(error, INFERD_PROTOCOL, "the daemon sent a line that is not an object");

    const char *id = json_string_value(json_object_get(tree, "id"));
    struct reply reply = { .kind = kind_of(tree), .id = id ? id : "" };
    if (reply.kind == REPLY_TOKEN || reply.kind == REPLY_DONE) {
        const json_t *content = json_object_get(tree, "content");
        if (!json_is_string(content))
            return failure(error, INFERD_PROTOCOL, "the daemon sent a %s frame without content",
                           reply.kind == REPLY_TOKEN ? "token" : "done");
        reply.text = (struct slice){ json_string_value(content), json_string_length(content) };
    }
    reply.tree = TAKE(tree);
    *ret = reply;
    return INFERD_OK;
}

void reply_done(struct reply *reply)
{
    json_decref(reply->tree);
    *reply = (struct reply){ 0 };
}

static uint64_t count(const json_t *object, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(object, name));
    return value > 0 ? (uint64_t)value : 0;
}

static double number(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

enum inferd_status reply_result(const struct reply *reply, struct inferd_result *ret,
                                struct inferd_error *error)
{
    const json_t *usage = json_object_get(reply->tree, "usage");
    const json_t *timings = json_object_get(reply->tree, "timings");
    struct inferd_result result = {
        .text = malloc(reply->text.len + 1),
        .text_len = reply->text.len,
        .prompt_tokens = count(usage, "prompt_tokens"),
        .completion_tokens = count(usage, "completion_tokens"),
        .cached_tokens = count(usage, "cached_tokens"),
        .queue_ms = number(timings, "queue_ms"),
        .prompt_ms = number(timings, "prompt_ms"),
        .first_token_ms = number(timings, "first_token_ms"),
        .generate_ms = number(timings, "generate_ms"),
        .tokens_per_second = number(timings, "tokens_per_second"),
    };
    if (!result.text)
        return failure_nomem(error);
    memcpy(result.text, reply->text.at, reply->text.len);
    result.text[reply->text.len] = '\0';
    copy_member(result.stop_reason, sizeof result.stop_reason, reply->tree, "stop_reason");
    copy_member(result.backend, sizeof result.backend, reply->tree, "backend");
    *ret = result;
    return INFERD_OK;
}

enum inferd_status reply_refusal(const struct reply *reply, struct inferd_error *error)
{
    if (error) {
        error->status = INFERD_REFUSED;
        copy_member(error->code, sizeof error->code, reply->tree, "code");
        copy_member(error->message, sizeof error->message, reply->tree, "message");
        error->queue_depth = count(reply->tree, "queue_depth");
        error->retry_after_ms = count(reply->tree, "retry_after_ms");
    }
    return INFERD_REFUSED;
}
