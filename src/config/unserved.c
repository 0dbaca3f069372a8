/*
 * unserved.c - settings that this release does not follow, and those that it follows only
 * together with others.
 */
#include "config/config.h"
#include "config/tcp.h"

/* Whoever reaches a TCP port can't be told apart by anything but a key. */
static void check_tcp(const struct config *c, struct findings *findings)
{
    struct sockaddr_storage unused;
    socklen_t len;
    struct error error;
    if (tcp_address_read(c->tcp, &unused, &len, &error))
        findings_add(findings, true, error.message);
    if (!c->api_key && !c->tcp_without_key)
        findings_add(findings, true,
                     "listen.tcp (--tcp) needs a key (INFERD_API_KEY, listen.api_key_env or "
                     "--api-key-file); --tcp-without-key lets every user of this machine ask "
                     "without one");
    else if (!c->api_key)
        findings_add(findings, false,
                     "TCP without a key: every user and program of this machine may ask");
}

void config_say_unserved(const struct config *c, struct findings *findings)
{
    if (c->tcp)
        check_tcp(c, findings);
    if (c->tcp_v2 || c->tcp_embed)
        findings_add(findings, false,
                     "listen.tcp_v2 and tcp_embed (--v2-tcp, --embed-tcp) have no effect: this "
                     "release serves only v1 by TCP");
    if (c->write_timeout_secs == 0)
        findings_add(findings, false,
                     "write_timeout_secs is 0: a client that reads nothing keeps its slot for as "
                     "long as it likes");
}
