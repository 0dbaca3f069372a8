/*
 * rpc.c - see rpc.h.
 *
 * llama.cpp ends the process if it can't connect, so each server is tried with a
 * connection of ours before.  It knows IPv4 alone.
 */
#include "rpc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ggml-backend.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { CONNECT_MS = 5000 };

#ifdef INFERD_AIRGAPPED
static const bool airgapped = true;
#else
static const bool airgapped = false;
#endif

/* --- what is asked for ----------------------------------------------------- */

static bool is_name(const char *text, size_t n)
{
    static const char known[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
    return n > 0 && n < NI_MAXHOST && strspn(text, known) == n;
}

static enum err read_server(const char *text, uint16_t *ret_port, struct error *error)
{
    const char *colon = text ? strrchr(text, ':') : NULL;
    char *end = NULL;
    long port = colon ? strtol(colon + 1, &end, 10) : 0;
    if (!colon || !is_name(text, (size_t)(colon - text)) || *end || port < 1 || port > UINT16_MAX)
        return fail(error, ERR_CONFIG, "rpc_servers holds '%.80s'; \"host:port\" is needed",
                    text ? text : "");
    *ret_port = (uint16_t)port;
    return OK;
}

enum err rpc_read(const json_t *options, struct rpc_servers *ret, struct error *error)
{
    struct rpc_servers s = { 0 };
    const json_t *list = json_object_get(options, "rpc_servers");
    enum err e = OK;
    if (list && !json_is_null(list) && !json_is_array(list))
        return fail(error, ERR_CONFIG, "rpc_servers must be a list of \"host:port\"");
    if (json_array_size(list) > RPC_SERVERS_MAX)
        return fail(error, ERR_CONFIG, "there are %zu rpc_servers; at most %d are possible",
                    json_array_size(list), RPC_SERVERS_MAX);
    if (airgapped && json_array_size(list) > 0)
        return fail(error, ERR_CONFIG,
                    "there are rpc_servers, and this is a build that opens no connections");
    for (; !e && s.n < json_array_size(list); s.n++) {
        s.asked[s.n] = json_string_value(json_array_get(list, s.n));
        e = read_server(s.asked[s.n], &s.ports[s.n], error);
    }
    if (!e)
        *ret = s;
    return e;
}

/* --- outside --------------------------------------------------------------- */

static void drop_addresses(struct addrinfo **list)
{
    if (*list)
        freeaddrinfo(*list);
}

/* 0, or errno. */
static int connected_in_time(int fd, const struct addrinfo *to)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    int failed = 0;
    socklen_t size = sizeof failed;
    if (connect(fd, to->ai_addr, to->ai_addrlen) < 0 && errno != EINPROGRESS)
        return errno;
    if (poll(&p, 1, CONNECT_MS) <= 0)
        return ETIMEDOUT;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size) < 0 ? errno : failed;
}

static enum err try_to_connect(const char *asked, const struct addrinfo *to, struct error *error)
{
    CLEANUP(close_fd) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail_sys(error, "cannot make a socket for RPC server '%s'", asked);
    int failed = connected_in_time(fd, to);
    return failed ? fail(error, ERR_CONFIG, "RPC server '%s' can't be reached: %s", asked,
                         strerror(failed))
                  : OK;
}

static enum err prepare_one(struct rpc_servers *s, size_t i, struct error *error)
{
    char host[NI_MAXHOST], number[INET_ADDRSTRLEN];
    CLEANUP(drop_addresses) struct addrinfo *found = NULL;
    const struct addrinfo wanted = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
    const char *colon = strrchr(s->asked[i], ':');
    snprintf(host, sizeof host, "%.*s", (int)(colon - s->asked[i]), s->asked[i]);
    int failed = getaddrinfo(host, colon + 1, &wanted, &found);
    if (failed)
        return fail(error, ERR_CONFIG, "RPC server '%s' can't be looked up: %s", s->asked[i],
                    gai_strerror(failed));
    const struct sockaddr_in *in = (const struct sockaddr_in *)found->ai_addr;
    inet_ntop(AF_INET, &in->sin_addr, number, sizeof number);
    snprintf(s->address[i], sizeof s->address[i], "%s:%u", number, s->ports[i]);
    return try_to_connect(s->asked[i], found, error);
}

enum err rpc_prepare(struct rpc_servers *servers, const char *modules, struct error *error)
{
    char path[PATH_MAX];
    enum err e = OK;
    if (servers->n == 0)
        return OK;
    if (snprintf(path, sizeof path, "%s/libggml-rpc.so", modules) >= (int)sizeof path ||
        !ggml_backend_load(path))
        return fail(error, ERR_CONFIG, "this installation can't use rpc_servers: '%s' is not there",
                    path);
    for (size_t i = 0; !e && i < servers->n; i++)
        e = prepare_one(servers, i, error);
    return e;
}

/* --- inside ---------------------------------------------------------------- */

typedef ggml_backend_reg_t add_server_fn(const char *endpoint);

enum err rpc_connect(const struct rpc_servers *servers, struct error *error)
{
    if (servers->n == 0)
        return OK;
    ggml_backend_reg_t rpc = ggml_backend_reg_by_name("RPC");
    add_server_fn *add_server =
        rpc ? (add_server_fn *)ggml_backend_reg_get_proc_address(rpc, "ggml_backend_rpc_add_server")
            : NULL;
    if (!add_server)
        return fail(error, ERR_CONFIG, "llama.cpp's RPC module is of another version");
    for (size_t i = 0; i < servers->n; i++) {
        ggml_backend_reg_t reg = add_server(servers->address[i]);
        if (!reg)
            return fail(error, ERR_CONFIG, "RPC server '%s' has no devices", servers->asked[i]);
        ggml_backend_register(reg);
    }
    return OK;
}
