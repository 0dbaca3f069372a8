/*
 * notify.c - see notify.h.
 *
 * The socket is connected once, so that what is told later needs no name any more.
 */
#include "serve/notify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/log.h"

static int connect_to(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t len = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || len >= sizeof address.sun_path) {
        log_warn("NOTIFY_SOCKET is no socket's name: systemd is told nothing");
        return -1;
    }
    memcpy(address.sun_path, path, len);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* a name without a file */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, size) < 0) {
        log_warn("nobody answers at NOTIFY_SOCKET: systemd is told nothing");
        close_fd(&fd);
    }
    return fd;
}

/* In milliseconds; 0 if it is meant for another process, or not at all. */
static uint64_t read_watchdog(void)
{
    const char *usec = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    if (!usec || (pid && strtol(pid, NULL, 10) != getpid()))
        return 0;
    return strtoull(usec, NULL, 10) / 1000;
}

void notify_init(struct notify *n)
{
    const char *path = getenv("NOTIFY_SOCKET");
    *n = (struct notify){ .fd = path && path[0] ? connect_to(path) : -1 };
    n->watchdog_ms = n->fd >= 0 ? read_watchdog() : 0;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void notify_done(struct notify *n)
{
    close_fd(&n->fd);
}

void notify_tell(const struct notify *n, const char *fmt, ...)
{
    char text[512];
    if (n->fd < 0)
        return;
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    size_t size = len < (int)sizeof text ? (size_t)len : sizeof text - 1;
    if (len < 0 || send(n->fd, text, size, MSG_NOSIGNAL) < 0)
        log_debug("systemd could not be told something");
}

void notify_reloading(const struct notify *n)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    notify_tell(n, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
                (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000);
}
