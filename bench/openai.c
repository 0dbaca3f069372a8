/*
 * openai.c - chat completions over HTTP, as llama-server speaks them on a Unix socket.
 *
 * A frame is the head of a response or one chunk of its body.  Chunks carry events; a
 * chunk is a piece of the answer, the empty one its end.  Sampling is asked for as
 * inferd does it by default, so that both sides do the same work per token.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol.h"

enum {
    BODY_MAX = 64 * 1024 * 1024,
    SHOWN_MAX = 120, /* bytes of a frame that a message repeats */
    STATUS_LEN = 3,
};

static enum err put_body(const struct shape *shape, uint64_t serial, struct buf *out)
{
    enum err e = buf_printf(out,
                            "{\"stream\":true,\"stream_options\":{\"include_usage\":true},"
                            "\"max_tokens\":%u,\"temperature\":1,\"top_k\":64,\"top_p\":0.95,"
                            "\"min_p\":0,",
                            shape->max_tokens);
    if (!e)
        e = prompt_put_messages(shape, serial, out);
    return e ? e : buf_append_str(out, "}");
}

static enum err put_request(const struct shape *shape, uint64_t serial, struct buf *out)
{
    struct buf body;
    buf_init(&body, BODY_MAX);
    enum err e = put_body(shape, serial, &body);
    if (!e)
        e = buf_printf(out,
                       "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                       "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                       body.len);
    if (!e)
        e = buf_append(out, body.at, body.len);
    buf_done(&body);
    return e;
}

/* --- replies ------------------------------------------------------------------ */

static const char *find(struct slice in, const char *word)
{
    return in.len ? memmem(in.at, in.len, word, strlen(word)) : NULL;
}

static bool begins_with(struct slice in, const char *word)
{
    return in.len >= strlen(word) && memcmp(in.at, word, strlen(word)) == 0;
}

/* The number behind `name`; 0 if it is not there. */
static uint64_t number_behind(struct slice in, const char *name)
{
    const char *at = find(in, name);
    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* The head; one that says no comes with a body of a known length. */
static enum err read_head(struct slice in, struct reply *ret, struct error *error)
{
    const char *end = find(in, "\r\n\r\n");
    if (!end)
        return ERR_AGAIN;
    struct slice head = { in.at, (size_t)(end - in.at) + 4 };
    const char *status = head.at + strlen("HTTP/1.1 ");
    if (begins_with((struct slice){ status, (size_t)(end - status) }, "200")) {
        *ret = (struct reply){ .kind = REPLY_PIECE, .len = head.len };
        return OK;
    }
    if (end - status < STATUS_LEN)
        return fail(error, ERR_PROTOCOL, "no status: %.*s", (int)(end - in.at), in.at);
    uint64_t len = head.len + number_behind(head, "Content-Length: ");
    if (len > in.len)
        return ERR_AGAIN;
    *ret = (struct reply){ REPLY_REFUSED, len, { status, STATUS_LEN }, false, 0 };
    return OK;
}

static bool has_text(struct slice chunk)
{
    static const char word[] = "\"content\":\"";
    const char *at = find(chunk, word);
    return at && at + strlen(word) < chunk.at + chunk.len && at[strlen(word)] != '"';
}

static enum err read_chunk(struct slice in, struct reply *ret, struct error *error)
{
    const char *line_end = find(in, "\r\n");
    if (!line_end)
        return ERR_AGAIN;
    char *digits_end;
    unsigned long long len = strtoull(in.at, &digits_end, 16);
    if (digits_end == in.at || digits_end > line_end || len > BODY_MAX)
        return fail(error, ERR_PROTOCOL, "no chunk of an answer: %.*s",
                    (int)(in.len < SHOWN_MAX ? in.len : SHOWN_MAX), in.at);
    size_t head = (size_t)(line_end - in.at) + 2;
    if (in.len < head + len + 2)
        return ERR_AGAIN;
    struct slice chunk = { in.at + head, len };
    *ret = (struct reply){ .kind = len ? REPLY_PIECE : REPLY_DONE, .len = head + len + 2 };
    ret->has_text = has_text(chunk);
    ret->tokens = number_behind(chunk, "\"completion_tokens\":");
    return OK;
}

static enum err read_reply(struct slice in, uint64_t serial UNUSED, struct reply *ret,
                           struct error *error)
{
    if (in.len < strlen("HTTP/"))
        return ERR_AGAIN;
    return begins_with(in, "HTTP/") ? read_head(in, ret, error) : read_chunk(in, ret, error);
}

const struct protocol protocol_openai = {
    .name = "openai",
    .put_request = put_request,
    .read_reply = read_reply,
};
