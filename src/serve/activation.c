/*
 * activation.c - see activation.h.
 */
#include "serve/activation.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/log.h"
#include "config/tcp.h"

enum { FIRST_FD = 3 };

static long number_in(const char *variable)
{
    const char *text = getenv(variable);
    return text ? strtol(text, NULL, 10) : 0;
}

/* A listening stream socket that reaches no farther than this machine. */
static bool is_fit(int fd)
{
    int type = 0, listens = 0;
    socklen_t len = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_STREAM)
        return false;
    len = sizeof listens;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0 || !listens)
        return false;
    struct sockaddr_storage address = { 0 };
    len = sizeof address;
    return getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
           (address.ss_family == AF_UNIX || tcp_is_loopback(&address));
}

static void add(struct activation *a, int fd, const char *name, size_t len)
{
    if (a->n == ACTIVATION_MAX || !is_fit(fd)) {
        log_warn("descriptor %d of systemd is no local stream socket that listens: ignored", fd);
        close(fd);
        return;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    struct handed *h = &a->at[a->n++];
    h->fd = fd;
    snprintf(h->name, sizeof h->name, "%.*s", (int)len, name);
}

void activation_read(struct activation *a)
{
    *a = (struct activation){ 0 };
    long n = number_in("LISTEN_PID") == getpid() ? number_in("LISTEN_FDS") : 0;
    const char *names = getenv("LISTEN_FDNAMES");
    for (long i = 0; i < n && i < 1024; i++) {
        size_t len = names ? strcspn(names, ":") : 0;
        add(a, FIRST_FD + (int)i, names ? names : "", len);
        if (names)
            names += len + (names[len] == ':');
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

static bool lies_at(int fd, const char *path)
{
    struct sockaddr_un address = { 0 };
    socklen_t len = sizeof address - 1;
    return getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
           address.sun_family == AF_UNIX && strcmp(address.sun_path, path) == 0;
}

int activation_take(struct activation *a, const char *name, const char *where)
{
    for (int i = 0; i < a->n; i++) {
        struct handed *h = &a->at[i];
        if (h->fd >= 0 && (strcmp(h->name, name) == 0 || lies_at(h->fd, where)))
            return TAKE_FD(h->fd);
    }
    return -1;
}

void activation_done(struct activation *a)
{
    for (int i = 0; i < a->n; i++) {
        if (a->at[i].fd >= 0)
            log_warn("systemd's socket '%s' is for nothing that is configured: closed",
                     a->at[i].name);
        close_fd(&a->at[i].fd);
    }
    a->n = 0;
}
