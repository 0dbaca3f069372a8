/*
 * systemd.c - what systemd is told about engines.
 *
 * The watchdog is fed by the loop, and only while each backend is where it should be: an
 * engine that should have been killed for its silence and is still there, or one that
 * loads without progress beyond its limit, is beyond what we can heal, and so is a daemon
 * whose loop does not turn.  A backend that failed, was unloaded or waits for its next
 * start is looked after; it keeps nobody from being served.
 */
#include <inttypes.h>

#include "daemon/daemon.h"
#include "serve/lifecycle.h"

enum { EXTEND_SLACK_SECS = 10 };

static bool all_well(const struct daemon *d)
{
    const struct list *const lists[] = { &d->core.backends, &d->core.retired };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        LIST_EACH(const struct backend, b, lists[i], link)
            if (!engine_is_well(b->engine))
                return false;
    return true;
}

static void on_watchdog(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    if (all_well(d))
        notify_tell(&d->notify, "WATCHDOG=1");
}

void systemd_begin(struct daemon *d)
{
    notify_init(&d->notify);
    uv_timer_init(&d->loop, &d->watchdog);
    d->watchdog.data = d;
    uint64_t half = d->notify.watchdog_ms / 2;
    if (d->notify.watchdog_ms)
        uv_timer_start(&d->watchdog, on_watchdog, half, half ? half : 1);
    uv_unref((uv_handle_t *)&d->watchdog);
    notify_tell(&d->notify, "STATUS=starting");
}

void systemd_backend_changed(struct daemon *d, const struct backend *b)
{
    uint32_t secs = d->config.ready_timeout_secs + EXTEND_SLACK_SECS;
    if (d->serving || d->draining)
        notify_tell(&d->notify, "STATUS=%s",
                    d->draining                 ? "finishing what runs"
                    : lifecycle_ready(&d->core) ? "ready"
                                                : "no backend is ready");
    else if (backend_state(b) == ENGINE_STARTING)
        notify_tell(&d->notify, "STATUS=loading %.128s\nEXTEND_TIMEOUT_USEC=%" PRIu64, b->name,
                    (uint64_t)secs * 1000000);
}

void systemd_end(struct daemon *d)
{
    uv_close((uv_handle_t *)&d->watchdog, NULL);
}
