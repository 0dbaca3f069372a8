/*
 * dial.c - connecting, patiently, and looking at who answers.
 *
 * A daemon that is loading has no socket yet, one that was killed leaves a socket
 * that refuses, and one that is flooded has a full backlog.  All three pass by
 * themselves, so they are worth waiting for; a permission that is missing is not.
 *
 * connect() runs on a non-blocking descriptor: on a blocking one a full backlog
 * would hold the caller for as long as the daemon likes.  It either succeeds or
 * fails at once on a Unix socket, so there is never a connection in progress.
 *
 * Anybody can bind a socket at a path that the daemon does not occupy (in /tmp,
 * say).  The kernel knows who listens there, and a stranger gets no prompt.
 */
#include "client/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/clock.h"

enum {
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MAX_MS = 5000,
};

int dial_backoff(int wait_ms)
{
    if (wait_ms == 0)
        return BACKOFF_FIRST_MS;
    return wait_ms < BACKOFF_MAX_MS / 2 ? wait_ms * 2 : BACKOFF_MAX_MS;
}

/* All digits, and a number that a user can have. */
static bool read_uid(const char *text, uid_t *ret)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || value >= (uid_t)-1)
        return false;
    *ret = (uid_t)value;
    return true;
}

enum inferd_status dial_trusts(uid_t server, uid_t self, const char *named,
                               struct inferd_error *error)
{
    uid_t also = self;
    if (named && named[0] && !read_uid(named, &also))
        return failure(error, INFERD_INVALID,
                       "INFERD_SERVER_UID is '%.80s'; it must be a user number from 0 to %u", named,
                       (unsigned)-2);
    if (server == self || server == 0 || server == also)
        return INFERD_OK;
    return failure(error, INFERD_UNTRUSTED,
                   "the server runs as user %u, which is neither this user (%u) nor root nor the "
                   "one in INFERD_SERVER_UID",
                   (unsigned)server, (unsigned)self);
}

static enum inferd_status look_at_peer(int fd, const char *path, struct inferd_error *error)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return failure_sys(error, INFERD_FAILED, "cannot tell who listens at '%s'", path);
    return dial_trusts(peer.uid, geteuid(), secure_getenv("INFERD_SERVER_UID"), error);
}

static bool may_pass(int reason)
{
    return reason == ENOENT || reason == ECONNREFUSED || reason == EAGAIN || reason == ETIMEDOUT;
}

/* One try.  -1 with errno. */
static int try_once(const struct sockaddr_un *address)
{
    CLEANUP(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    int e;
    do {
        e = connect(fd, (const struct sockaddr *)address, sizeof *address);
    } while (e < 0 && errno == EINTR);
    if (e < 0 || fcntl(fd, F_SETFL, 0) < 0)
        return -1;
    return TAKE_FD(fd);
}

/* Whatever signals arrive. */
static void sleep_ms(int64_t ms)
{
    struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        ;
}

static enum inferd_status keep_trying(const struct sockaddr_un *address, int wait_ms, int *ret_fd,
                                      struct inferd_error *error)
{
    int64_t deadline = clock_ms() + wait_ms;
    int backoff = 0;
    int fd;
    while ((fd = try_once(address)) < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
            return failure_sys(error, INFERD_FAILED, "cannot make a socket");
        if (!may_pass(errno))
            return failure_sys(error, INFERD_UNREACHABLE, "cannot connect to '%s'",
                               address->sun_path);
        int64_t left = deadline - clock_ms();
        if (left <= 0)
            return failure_sys(error, INFERD_UNREACHABLE, "no daemon answers at '%s'",
                               address->sun_path);
        backoff = dial_backoff(backoff);
        sleep_ms(backoff < left ? backoff : left);
    }
    *ret_fd = fd;
    return INFERD_OK;
}

enum inferd_status dial(const char *path, const char *name, int wait_ms, int *ret_fd,
                        struct inferd_error *error)
{
    char standard[PATH_MAX];
    if (!path) {
        if (inferd_socket_path(name, standard, sizeof standard))
            return failure(error, INFERD_INVALID,
                           "the path of the runtime directory has more than %d bytes",
                           PATH_MAX - 1);
        path = standard;
    }

    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof address.sun_path)
        return failure(error, INFERD_INVALID,
                       "the socket's path has %zu bytes; it must have 1 to %zu: '%s'", len,
                       sizeof address.sun_path - 1, path);
    memcpy(address.sun_path, path, len + 1);

    CLEANUP(close_fd) int fd = -1;
    enum inferd_status status = keep_trying(&address, wait_ms, &fd, error);
    if (!status)
        status = look_at_peer(fd, path, error);
    if (!status)
        *ret_fd = TAKE_FD(fd);
    return status;
}
