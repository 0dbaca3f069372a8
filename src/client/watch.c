/*
 * watch.c - the daemon's state, as its admin socket tells it.
 *
 * A newcomer is told what every backend can do, frame by frame, and then one frame
 * with the present state.  That one is recognised by not being a "capabilities"
 * frame, so states that this library never heard of are states all the same.
 */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "client/dial.h"
#include "client/lines.h"
#include "client/reply.h"

enum { STATE_WITHIN_MS = 2000 };

static bool is_state(const struct reply *reply)
{
    const char *status = json_string_value(json_object_get(reply->tree, "status"));
    return status && strcmp(status, "capabilities") != 0;
}

enum inferd_status inferd_watch(const char *path, int follow,
                                int (*on_frame)(void *context, const char *json, size_t len),
                                void *context, struct inferd_error *error)
{
    int fd;
    enum inferd_status status = dial(path, "admin.sock", 0, &fd, error);
    if (status)
        return status;

    struct lines lines;
    lines_init(&lines, fd);
    int64_t deadline = follow ? LINES_NO_DEADLINE : clock_ms() + STATE_WITHIN_MS;
    bool enough = false;
    while (!status && !enough) {
        struct slice line;
        struct reply reply = { 0 };
        status = lines_next(&lines, deadline, &line, error);
        if (!status)
            status = reply_read(line, &reply, error);
        if (!status)
            enough = on_frame(context, line.at, line.len) || (!follow && is_state(&reply));
        reply_done(&reply);
    }
    lines_done(&lines);
    return status;
}
