/*
 * connection.h - a client on a socket that is connected already.
 */
#pragma once

#include "client/failure.h"

/* Takes `fd`, on failure too. */
enum inferd_status client_adopt(int fd, struct inferd_client **ret_client,
                                struct inferd_error *error) MUST_USE;
