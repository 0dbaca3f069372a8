/*
 * tcp.h - addresses of TCP listeners, which are this machine's own.
 */
#pragma once

#include <sys/socket.h>

#include "base/error.h"

/* "127.0.0.1:47321" or "[::1]:47321".  ERR_CONFIG: it is neither, or not loopback. */
enum err tcp_address_read(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len,
                          struct error *error) MUST_USE;

bool tcp_is_loopback(const struct sockaddr_storage *address);
