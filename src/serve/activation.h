/*
 * activation.h - sockets that systemd made before it started us (LISTEN_FDS).
 *
 * Which is which is said by its name (FileDescriptorName=), that of a door or "admin"; one
 * without such a name by the path it is bound to.  They are not ours to unlink, and nobody
 * is accepted from before we are ready: who connects waits.
 */
#pragma once

#include "base/error.h"

enum { ACTIVATION_MAX = 16 };

struct activation {
    struct handed {
        int fd; /* -1: taken */
        char name[32];
    } at[ACTIVATION_MAX];
    int n;
};

/* What the environment hands to this process; nothing of it is left there. */
void activation_read(struct activation *a);

/* The socket for that purpose, the caller's from now on; -1 if there is none.  `where` is a
 * path or an address. */
int activation_take(struct activation *a, const char *name, const char *where);

/* Close those that nobody took. */
void activation_done(struct activation *a);
