/*
 * rpc.h - other machines that compute a part of a model, by llama.cpp's own protocol.
 *
 * For models that no single machine holds.  The link is neither encrypted nor
 * authenticated: it is for a network that is trusted as this machine's bus is.
 *
 * Three steps, because an engine is locked in between them: names are looked up and
 * the servers tried while files may still be opened, and llama.cpp connects, with a
 * thread of its own, when only those ports are left.
 */
#pragma once

#include "base/json.h"

enum {
    RPC_SERVERS_MAX = 16, /* llama.cpp's */
    RPC_ADDRESS_MAX = 64,
};

struct rpc_servers {
    size_t n;
    const char *asked[RPC_SERVERS_MAX];             /* "host:port"; borrowed from the options */
    char address[RPC_SERVERS_MAX][RPC_ADDRESS_MAX]; /* "192.0.2.7:50052", once looked up */
    uint16_t ports[RPC_SERVERS_MAX];
};

/* The list `rpc_servers` of the options.  ERR_CONFIG names what is wrong. */
enum err rpc_read(const json_t *options, struct rpc_servers *ret, struct error *error) MUST_USE;

/* Look up the names, try each server, load llama.cpp's module from `modules`.  Outside
 * of a sandbox.  ERR_CONFIG: one can't be reached, in words. */
enum err rpc_prepare(struct rpc_servers *servers, const char *modules,
                     struct error *error) MUST_USE;

/* From now on their devices are among those that a model's layers are put on. */
enum err rpc_connect(const struct rpc_servers *servers, struct error *error) MUST_USE;
