/*
 * unserved.c - settings that this release knows but does not follow.
 *
 * A setting that keeps callers out must not be passed over; for the others a warning will
 * do.
 */
#include "config/config.h"

void config_say_unserved(const struct config *c, struct findings *findings)
{
    if (c->allow_uids.n || c->allow_gids.n)
        findings_add(
            findings, true,
            "allow_uids and allow_gids (--allow-uid, --allow-gid): this release can't tell "
            "callers apart; use the group of the sockets");
    if (c->tcp || c->tcp_v2 || c->tcp_embed)
        findings_add(findings, false,
                     "listen.tcp, tcp_v2 and tcp_embed (--tcp, --v2-tcp, --embed-tcp) have no "
                     "effect: this release serves no TCP");
    if (c->write_timeout_secs != WRITE_TIMEOUT_SECS)
        findings_add(findings, false,
                     "write_timeout_secs has no effect: this release waits for slow clients "
                     "without limit");
}
