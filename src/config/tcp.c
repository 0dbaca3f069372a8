/*
 * tcp.c - see tcp.h.
 */
#include "config/tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

bool tcp_is_loopback(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    return address->ss_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

/* The port behind the last colon; 0 if there is none. */
static in_port_t read_port(const char *colon)
{
    char *end;
    errno = 0;
    unsigned long port =
        colon && colon[1] >= '0' && colon[1] <= '9' ? strtoul(colon + 1, &end, 10) : 0;
    return port > 0 && !errno && !*end && port <= UINT16_MAX ? (in_port_t)port : 0;
}

static bool read_host(const char *host, in_port_t port, struct sockaddr_storage *ret,
                      socklen_t *ret_len)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
    *ret = (struct sockaddr_storage){ 0 };
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        *ret_len = sizeof *v4;
        return true;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        *ret_len = sizeof *v6;
        return true;
    }
    return false;
}

enum err tcp_address_read(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len,
                          struct error *error)
{
    const char *colon = strrchr(text, ':');
    in_port_t port = read_port(colon);
    char host[INET6_ADDRSTRLEN + 2] = "";
    size_t len = colon ? (size_t)(colon - text) : 0;
    bool bracketed = len > 2 && text[0] == '[' && text[len - 1] == ']';
    if (len > 0 && len < sizeof host)
        memcpy(host, text + bracketed, len - 2 * bracketed);
    bool v6 = strchr(host, ':') != NULL;
    if (port == 0 || v6 != bracketed || !read_host(host, port, ret, ret_len))
        return fail(error, ERR_CONFIG,
                    "'%.80s' is not an address and a port, as 127.0.0.1:47321 or [::1]:47321",
                    text);
    if (!tcp_is_loopback(ret))
        return fail(error, ERR_CONFIG,
                    "'%.80s' can be reached from other machines; only 127.0.0.0/8 and ::1 can be "
                    "listened on",
                    text);
    return OK;
}
