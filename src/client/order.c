/*
 * order.c - telling the daemon what to do, by its admin socket.
 *
 * The daemon tells everybody its state there, and what changes: the reply is the one frame
 * among them that says it is one.
 */
#include <string.h>

#include "base/clock.h"
#include "client/dial.h"
#include "client/lines.h"
#include "client/reply.h"

enum { REPLY_WITHIN_MS = 30000 };

static enum inferd_status send_line(struct lines *lines, const char *order,
                                    struct inferd_error *error)
{
    struct buf line;
    buf_init(&line, LINES_BYTES_MAX);
    if (strchr(order, '\n'))
        return failure(error, INFERD_INVALID, "an order is one line");
    enum inferd_status status = INFERD_OK;
    if (buf_append_str(&line, order) || buf_append_str(&line, "\n"))
        status = failure_nomem(error);
    else
        status = lines_send(lines, line.at, line.len, error);
    buf_done(&line);
    return status;
}

/* The reply as text; `error` if it is a no. */
static enum inferd_status judge(struct slice line, const struct reply *reply, char **ret,
                                struct inferd_error *error)
{
    const char *why = json_string_value(json_object_get(reply->tree, "error"));
    if (!json_is_true(json_object_get(reply->tree, "ok")))
        return failure(error, INFERD_REFUSED, "%s", why ? why : "the daemon said no");
    *ret = strndup(line.at, line.len);
    return *ret ? INFERD_OK : failure_nomem(error);
}

static enum inferd_status await_reply(struct lines *lines, char **ret, struct inferd_error *error)
{
    int64_t deadline = clock_ms() + REPLY_WITHIN_MS;
    for (;;) {
        struct slice line;
        struct reply reply = { 0 };
        enum inferd_status status = lines_next(lines, deadline, &line, error);
        if (!status)
            status = reply_read(line, &reply, error);
        const char *type = json_string_value(json_object_get(reply.tree, "type"));
        bool is_reply = !status && type && strcmp(type, "reply") == 0;
        if (is_reply)
            status = judge(line, &reply, ret, error);
        reply_done(&reply);
        if (status || is_reply)
            return status;
    }
}

enum inferd_status inferd_order(const char *path, const char *order, char **reply,
                                struct inferd_error *error)
{
    int fd;
    enum inferd_status status = dial(path, "admin.sock", 0, &fd, error);
    if (status)
        return status;
    struct lines lines;
    lines_init(&lines, fd);
    status = send_line(&lines, order, error);
    if (!status || status == INFERD_LOST)
        status = await_reply(&lines, reply, error);
    lines_done(&lines);
    return status;
}
