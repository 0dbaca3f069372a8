/*
 * sweep.c - those that stand still.
 *
 * A peer that takes no byte of what it is sent, leaves half a request to be waited for, or goes
 * on sending what nobody reads, keeps its connection only so long.
 */
#include "base/log.h"
#include "serve/conn.h"

static void on_half_sent(struct conn *c)
{
    struct error error;
    fail(&error, ERR_INVALID_REQUEST, "the rest of the request did not come within %u s",
         c->clients->config->read_timeout_secs);
    conn_refuse_line(c, &error);
}

static bool over(uint64_t since, uint64_t at, uint32_t secs)
{
    return at - since >= (uint64_t)secs * 1000;
}

/* Close it, or tell it off, if it has stood still for too long. */
static void sweep_one(struct conn *c, uint64_t at)
{
    const struct config *config = c->clients->config;
    if (config->write_timeout_secs && stream_unsent(&c->stream) > 0 &&
        over(c->moved_at, at, config->write_timeout_secs)) {
        log_warn("closing a connection of pid %d: it did not accept a response frame within %u s",
                 (int)c->peer.pid, config->write_timeout_secs);
        conn_close(c);
    } else if (c->waiting_since && over(c->waiting_since, at, config->read_timeout_secs)) {
        if (c->state == CONN_LINGERING)
            conn_close(c);
        else if (c->state == CONN_READING)
            on_half_sent(c);
    }
}

void clients_sweep(uv_timer_t *timer)
{
    struct clients *clients = timer->data;
    uint64_t at = uv_now(clients->io->loop);
    LIST_EACH(struct conn, c, &clients->conns, link)
        sweep_one(c, at);
}
