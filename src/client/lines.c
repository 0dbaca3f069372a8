/*
 * lines.c - the shape of the input buffer.
 *
 *        taken            scanned            in.len
 *          |                 |                 |
 *     xxxxx{"type":"token"...
 *     ^^^^^ handed out       ^ look for '\n' from here
 *
 * Always: taken <= scanned <= in.len.
 *
 * Lines are handed out in place.  What is left of the last one slides to the front
 * before more is read, so the buffer holds one unfinished line and one read.
 */
#include "client/lines.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"

enum { READ_BYTES = 64 * 1024 };

void lines_init(struct lines *l, int fd)
{
    *l = (struct lines){ .fd = fd };
    buf_init(&l->in, (size_t)LINES_BYTES_MAX + READ_BYTES);
}

void lines_done(struct lines *l)
{
    buf_done(&l->in);
    close_fd(&l->fd);
}

enum inferd_status lines_send(struct lines *l, const char *bytes, size_t n,
                              struct inferd_error *error)
{
    while (n > 0) {
        ssize_t sent = send(l->fd, bytes, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
            return failure(error, INFERD_LOST, "the daemon closed the connection");
        if (sent < 0)
            return failure_sys(error, INFERD_FAILED, "cannot send to the daemon");
        bytes += sent;
        n -= (size_t)sent;
    }
    return INFERD_OK;
}

/* A line that is already here; false if there is none. */
static bool line_at_hand(struct lines *l, struct slice *ret_line)
{
    while (l->scanned < l->in.len) {
        const char *from = l->in.at + l->scanned;
        const char *newline = memchr(from, '\n', l->in.len - l->scanned);
        if (!newline) {
            l->scanned = l->in.len;
            return false;
        }
        struct slice line = { l->in.at + l->taken, (size_t)(newline - l->in.at) - l->taken };
        l->taken = l->scanned = (size_t)(newline - l->in.at) + 1;
        if (line.len > 0 && line.at[line.len - 1] == '\r')
            line.len--;
        if (line.len > 0) {
            *ret_line = line;
            return true;
        }
    }
    return false;
}

static enum inferd_status wait_readable(int fd, int64_t deadline, struct inferd_error *error)
{
    for (;;) {
        int64_t left = deadline - clock_ms();
        if (left <= 0)
            return failure(error, INFERD_UNREACHABLE, "the daemon says nothing");
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int n = poll(&p, 1, left < INT_MAX ? (int)left : INT_MAX);
        if (n > 0)
            return INFERD_OK;
        if (n < 0 && errno != EINTR)
            return failure_sys(error, INFERD_FAILED, "cannot wait for the daemon");
    }
}

static enum inferd_status read_more(struct lines *l, struct inferd_error *error)
{
    buf_consume(&l->in, l->taken);
    l->scanned -= l->taken;
    l->taken = 0;
    if (l->in.len > LINES_BYTES_MAX)
        return failure(error, INFERD_PROTOCOL,
                       "the daemon sent a line of more than %d bytes, the most an answer can have",
                       LINES_BYTES_MAX);
    if (buf_reserve(&l->in, READ_BYTES))
        return failure_nomem(error);

    ssize_t n;
    do {
        n = recv(l->fd, l->in.at + l->in.len, READ_BYTES, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno != ECONNRESET)
        return failure_sys(error, INFERD_FAILED, "cannot read from the daemon");
    if (n <= 0)
        return failure(error, INFERD_LOST, "the connection ended before the answer did");
    l->in.len += (size_t)n;
    return INFERD_OK;
}

enum inferd_status lines_next(struct lines *l, int64_t deadline, struct slice *ret_line,
                              struct inferd_error *error)
{
    enum inferd_status status = INFERD_OK;
    while (!status && !line_at_hand(l, ret_line)) {
        if (deadline != LINES_NO_DEADLINE)
            status = wait_readable(l->fd, deadline, error);
        if (!status)
            status = read_more(l, error);
    }
    return status;
}
