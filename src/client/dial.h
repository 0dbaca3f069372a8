/*
 * dial.h - a connected socket to a daemon that can be trusted.
 */
#pragma once

#include <sys/types.h>

#include "client/failure.h"

/*
 * Connect to the socket at `path`, or, if that is NULL, to the one called `name`
 * where the daemon's sockets lie.  Tries for at most `wait_ms`, at least once.  The
 * descriptor is the caller's.
 */
enum inferd_status dial(const char *path, const char *name, int wait_ms, int *ret_fd,
                        struct inferd_error *error) MUST_USE;

/*
 * May a process of user `self` hand its prompts to a server of user `server`?
 * `named` is what INFERD_SERVER_UID holds, or NULL.
 *
 * INFERD_UNTRUSTED  no
 * INFERD_INVALID    `named` is no user number
 */
enum inferd_status dial_trusts(uid_t server, uid_t self, const char *named,
                               struct inferd_error *error) MUST_USE;

/* How long to wait after a wait of `wait_ms` (0: none yet) was in vain. */
int dial_backoff(int wait_ms);
