/*
 * client.c - a connection, and one question after the other on it.
 *
 * A connection ends with the first call that does not leave it between two
 * answers: what the daemon still sends for that one would be taken for the next.
 * Ending it is also how the daemon learns that its work is not wanted any more.
 *
 * inferd_abort() may run at any moment, in a signal handler or beside the call.  It
 * only raises a flag and shuts the socket down; whoever is blocked in it wakes up,
 * finds the stream ended and looks at the flag to say why.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "client/connection.h"
#include "client/dial.h"
#include "client/encode.h"
#include "client/lines.h"
#include "client/reply.h"

struct inferd_client {
    struct lines lines;
    atomic_bool aborted;
    bool ended;
};

const char *inferd_version(void)
{
    return INFERD_VERSION;
}

enum inferd_status client_adopt(int fd, struct inferd_client **ret_client,
                                struct inferd_error *error)
{
    struct inferd_client *client = calloc(1, sizeof *client);
    if (!client) {
        close_fd(&fd);
        return failure_nomem(error);
    }
    lines_init(&client->lines, fd);
    *ret_client = client;
    return INFERD_OK;
}

enum inferd_status inferd_connect(const char *path, int wait_ms, struct inferd_client **client,
                                  struct inferd_error *error)
{
    int fd;
    enum inferd_status status = dial(path, "infer.sock", wait_ms, &fd, error);
    return status ? status : client_adopt(fd, client, error);
}

void inferd_close(struct inferd_client *client)
{
    if (client) {
        lines_done(&client->lines);
        free(client);
    }
}

void inferd_abort(struct inferd_client *client)
{
    int saved = errno;
    atomic_store(&client->aborted, true);
    shutdown(client->lines.fd, SHUT_RDWR);
    errno = saved;
}

/* Another request's frames are not ours; an error frame without an id is: the
 * daemon could not read the id of what it refuses. */
static bool is_ours(const struct reply *reply, const struct inferd_request *request)
{
    if (reply->kind == REPLY_ERROR && !reply->id[0])
        return true;
    return strcmp(reply->id, request->id ? request->id : "") == 0;
}

/* Act on one frame; `*ret_last` if it was the last one. */
static enum inferd_status handle(const struct reply *reply, const struct inferd_request *request,
                                 struct inferd_result *result, bool *ret_last,
                                 struct inferd_error *error)
{
    if (!is_ours(reply, request))
        return INFERD_OK;
    switch (reply->kind) {
    case REPLY_TOKEN:
        if (request->on_text && request->on_text(request->context, reply->text.at, reply->text.len))
            return failure(error, INFERD_CANCELLED, "cancelled");
        return INFERD_OK;
    case REPLY_DONE:
        *ret_last = true;
        return reply_result(reply, result, error);
    case REPLY_ERROR:
        *ret_last = true;
        return reply_refusal(reply, error);
    case REPLY_OTHER:
        break;
    }
    return INFERD_OK;
}

static enum inferd_status one_frame(struct inferd_client *client,
                                    const struct inferd_request *request,
                                    struct inferd_result *result, bool *ret_last,
                                    struct inferd_error *error)
{
    struct slice line;
    struct reply reply = { 0 };
    enum inferd_status status = lines_next(&client->lines, LINES_NO_DEADLINE, &line, error);
    if (!status)
        status = reply_read(line, &reply, error);
    if (status)
        return status;
    if (request->on_frame && request->on_frame(request->context, line.at, line.len))
        status = failure(error, INFERD_CANCELLED, "cancelled");
    else
        status = handle(&reply, request, result, ret_last, error);
    reply_done(&reply);
    return status;
}

/* Ask and listen to the end.  A daemon that closes while it is being asked has
 * often said why. */
static enum inferd_status exchange(struct inferd_client *client, const struct buf *line,
                                   const struct inferd_request *request,
                                   struct inferd_result *result, struct inferd_error *error)
{
    enum inferd_status status = lines_send(&client->lines, line->at, line->len, error);
    if (status && status != INFERD_LOST)
        return status;
    bool last = false;
    do {
        status = one_frame(client, request, result, &last, error);
    } while (!status && !last && !atomic_load(&client->aborted));
    return status || last ? status : failure(error, INFERD_CANCELLED, "cancelled");
}

enum inferd_status inferd_generate(struct inferd_client *client,
                                   const struct inferd_request *request,
                                   struct inferd_result *result, struct inferd_error *error)
{
    struct buf line;
    buf_init(&line, (size_t)ENCODE_MAX + 16);
    enum inferd_status status = encode(request, &line, error);
    if (!status && client->ended)
        status = failure(error, INFERD_LOST, "this connection has ended; open another one");
    else if (!status)
        status = exchange(client, &line, request, result, error);
    buf_done(&line);

    if (status == INFERD_LOST && atomic_load(&client->aborted))
        status = failure(error, INFERD_CANCELLED, "cancelled");
    if (status && status != INFERD_REFUSED && status != INFERD_INVALID) {
        client->ended = true;
        shutdown(client->lines.fd, SHUT_RDWR);
    }
    return status;
}

void inferd_result_done(struct inferd_result *result)
{
    free(result->text);
    *result = (struct inferd_result){ 0 };
}
