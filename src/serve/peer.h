/*
 * peer.h - who is at the other end, as the kernel attests it.
 */
#pragma once

#include <sys/types.h>

struct peer {
    uid_t uid;
    gid_t gid;
    pid_t pid; /* at the time of connect(); it may be gone or another by now */
    char *exe; /* its program by /proc; owned; NULL where that can't be read, or was dropped */
};

/* SO_PEERCRED; all -1 where the kernel does not say (not a Unix socket).  The program is a
 * label for logs and accounts, not a protection: whoever runs as that user can be any.  To
 * be ended with peer_done(). */
struct peer peer_of(int fd);
void peer_done(struct peer *p);
