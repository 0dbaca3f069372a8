/*
 * peer.c - see peer.h.
 */
#include "serve/peer.h"

#include <sys/socket.h>

struct peer peer_of(int fd)
{
    struct ucred c;
    socklen_t len = sizeof c;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) < 0 || len != sizeof c)
        return (struct peer){ (uid_t)-1, (gid_t)-1, (pid_t)-1 };
    return (struct peer){ c.uid, c.gid, c.pid };
}
