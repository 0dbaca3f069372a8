/*
 * peer.c - see peer.h.
 */
#include "serve/peer.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/base.h"

/* NULL if it is not to be seen. */
static char *program_of(pid_t pid)
{
    char link[32], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/%d/exe", (int)pid);
    ssize_t n = readlink(link, path, sizeof path);
    return n > 0 ? strndup(path, (size_t)n) : NULL;
}

struct peer peer_of(int fd)
{
    struct ucred c;
    socklen_t len = sizeof c;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) < 0 || len != sizeof c)
        return (struct peer){ (uid_t)-1, (gid_t)-1, (pid_t)-1, NULL };
    return (struct peer){ c.uid, c.gid, c.pid, program_of(c.pid) };
}

void peer_done(struct peer *p)
{
    free(TAKE(p->exe));
}
