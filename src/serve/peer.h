/*
 * peer.h - who is at the other end, as the kernel attests it.
 */
#pragma once

#include <sys/types.h>

struct peer {
    uid_t uid;
    gid_t gid;
    pid_t pid; /* at the time of connect(); it may be gone or another by now */
};

/* SO_PEERCRED; all -1 where the kernel does not say (not a Unix socket). */
struct peer peer_of(int fd);
