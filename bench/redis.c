/*
 * redis.c - PING, as a yardstick: the least that a server on a Unix socket can do.
 *
 * Replies carry no id; that there is exactly one for each request is seen by counting.
 */
#include <string.h>

#include "protocol.h"

static enum err put_request(const struct shape *shape UNUSED, uint64_t serial UNUSED,
                            struct buf *out)
{
    return buf_append_str(out, "PING\r\n");
}

/* The first word of `-LOADING Redis is loading`. */
static struct slice first_word(const char *at, size_t len)
{
    const char *blank = memchr(at, ' ', len);
    return (struct slice){ at, blank ? (size_t)(blank - at) : len };
}

static enum err read_reply(struct slice in, uint64_t serial UNUSED, struct reply *ret,
                           struct error *error)
{
    static const char pong[] = "+PONG\r\n";
    const char *newline = in.len ? memchr(in.at, '\n', in.len) : NULL;
    if (!newline)
        return ERR_AGAIN;
    size_t len = (size_t)(newline - in.at) + 1;
    if (len == sizeof pong - 1 && memcmp(in.at, pong, len) == 0) {
        *ret = (struct reply){ .kind = REPLY_DONE, .len = len };
        return OK;
    }
    if (in.at[0] == '-' && len > 2) {
        *ret = (struct reply){ REPLY_REFUSED, len, first_word(in.at + 1, len - 3), false, 0 };
        return OK;
    }
    return fail(error, ERR_PROTOCOL, "'%.*s' is no answer to PING", (int)(len < 80 ? len : 80),
                in.at);
}

const struct protocol protocol_redis = {
    .name = "redis",
    .put_request = put_request,
    .read_reply = read_reply,
};
