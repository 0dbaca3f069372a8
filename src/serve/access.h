/*
 * access.h - who may ask.
 *
 * The mode and the group of a socket say who can connect; lists of users and groups in the
 * configuration narrow that down to who is served.  The daemon's own user and root always
 * are.
 */
#pragma once

#include "config/config.h"
#include "serve/peer.h"

/* May the peer at the other end of the Unix socket `fd` ask?  Its groups are those that it
 * had when it connected. */
bool access_allows(const struct config *config, const struct peer *peer, int fd);
