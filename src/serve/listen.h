/*
 * listen.h - a socket in its place, and those who connect to it.
 *
 * A Unix socket is bound under a temporary name, given its mode and group, and renamed
 * into place, so nobody can connect before the mode is right.  What lies at the path
 * is replaced only if it is a socket of ours that nobody answers on.
 */
#pragma once

#include <sys/stat.h>

#include "base/stream.h"

struct listener;

/* Takes `fd`. */
typedef void accept_fn(void *owner, int fd);

/*
 * Listen at `path` (absolute) with `mode`, owned by group `gid` unless that is -1.
 *
 * ERR_CONFIG  the path is too long for a socket (107 bytes), or something lies there
 *             that is not ours to replace
 * ERR_BUSY    somebody answers there
 */
enum err listener_open(struct io *io, const char *path, mode_t mode, gid_t gid,
                       accept_fn *on_accept, void *owner, struct listener **ret,
                       struct error *error) MUST_USE;

/* Listen at a loopback "ADDRESS:PORT".  ERR_CONFIG: it is none. */
enum err listener_open_tcp(struct io *io, const char *address, accept_fn *on_accept, void *owner,
                           struct listener **ret, struct error *error) MUST_USE;

/* Accept from a socket that somebody else has made, who will keep it.  Takes `fd`, on failure
 * too. */
enum err listener_adopt(struct io *io, int fd, accept_fn *on_accept, void *owner,
                        struct listener **ret, struct error *error) MUST_USE;

/* Take in those who are connected already, then stop accepting and remove the socket,
 * unless another has taken its place.  NULL is fine. */
void listener_close(struct listener *l);
