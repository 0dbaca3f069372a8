/*
 * notify.h - what systemd is told (sd_notify's protocol, spoken plainly).
 *
 * Without NOTIFY_SOCKET everything here does nothing.
 */
#pragma once

#include <stdint.h>

#include "base/base.h"

struct notify {
    int fd;               /* -1: nobody listens */
    uint64_t watchdog_ms; /* a sign of life is expected so often; 0: it is not */
};

/* Read where and how often from the environment, and leave nothing of it there. */
void notify_init(struct notify *n);
void notify_done(struct notify *n);

/* "READY=1\nSTATUS=serving" */
void notify_tell(const struct notify *n, const char *fmt, ...) PRINTF(2, 3);

/* RELOADING=1 and since when; READY=1 ends it. */
void notify_reloading(const struct notify *n);
