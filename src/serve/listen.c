/*
 * listen.c - bind, accept, and what to do when descriptors run out.
 *
 * The temporary name lies in the same directory, which is reached through its
 * descriptor (/proc/self/fd/N/name): so a path of the full 107 bytes has room for it.
 *
 * Without descriptors accept() fails at once, and again in every turn: the listener
 * sleeps for a moment instead.
 */
#include "serve/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "config/tcp.h"

enum {
    BACKLOG = 1024,
    ACCEPTS_PER_TURN = 64,
    BREATHER_MS = 100,
};

struct listener {
    uv_poll_t poll;
    uv_timer_t breather;
    int open_handles;
    int fd;
    int dir; /* where `name` lies; -1: it has no name to remove */
    char name[108];
    struct stat made; /* what we put there */
    accept_fn *on_accept;
    void *owner;
};

/* --- binding --------------------------------------------------------------- */

/* An address that names `name` within directory `dir`; false if it is too long. */
static bool address_in(int dir, const char *name, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
    int n = snprintf(ret->sun_path, sizeof ret->sun_path, "/proc/self/fd/%d/%s", dir, name);
    return n > 0 && (size_t)n < sizeof ret->sun_path;
}

/* Does a daemon answer there? */
static bool answers(int dir, const char *name)
{
    struct sockaddr_un address;
    CLEANUP(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || !address_in(dir, name, &address))
        return true; /* when in doubt, it is somebody's */
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return true;
    return errno != ECONNREFUSED && errno != ENOENT;
}

/* May what lies at the path be replaced?  OK also if nothing does. */
static enum err check_place(const struct listener *l, const char *path, struct error *error)
{
    struct stat st;
    if (fstatat(l->dir, l->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? OK : fail_sys(error, "cannot look at %s", path);
    if (S_ISLNK(st.st_mode))
        return fail(error, ERR_CONFIG, "uds path is a symlink (refused): %s", path);
    if (!S_ISSOCK(st.st_mode))
        return fail(error, ERR_CONFIG, "uds path is not a socket (refused): %s", path);
    if (st.st_uid != geteuid())
        return fail(error, ERR_CONFIG, "uds path belongs to user %u (refused): %s",
                    (unsigned)st.st_uid, path);
    if (answers(l->dir, l->name))
        return fail(error, ERR_BUSY, "another program answers at %s", path);
    return OK;
}

static enum err open_directory(struct listener *l, const char *path, struct error *error)
{
    const char *slash = strrchr(path, '/');
    size_t limit = sizeof((struct sockaddr_un *)0)->sun_path - 1;
    if (strlen(path) > limit)
        return fail(error, ERR_CONFIG, "a socket's path may have at most %zu bytes; '%s' has %zu",
                    limit, path, strlen(path));
    if (!slash || !slash[1])
        return fail(error, ERR_CONFIG, "'%s' is not an absolute path of a socket", path);
    strcpy(l->name, slash + 1); /* shorter than the path, which fits */

    char dir[sizeof l->name] = "/";
    if (slash > path) {
        memcpy(dir, path, (size_t)(slash - path));
        dir[slash - path] = '\0';
    }
    l->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return l->dir < 0 ? fail_sys(error, "cannot open directory '%s'", dir) : OK;
}

/* Bind `l->fd` as `draft`, make it what it should be and move it into place. */
static enum err put_in_place(struct listener *l, const char *draft, const char *path, mode_t mode,
                             gid_t gid, struct error *error)
{
    struct sockaddr_un address;
    if (!address_in(l->dir, draft, &address))
        return fail(error, ERR_INTERNAL, "no room for a socket's temporary name");
    if (unlinkat(l->dir, draft, 0) < 0 && errno != ENOENT)
        return fail_sys(error, "cannot remove an old %s", draft);

    mode_t umask_before = umask(0177);
    int bound = bind(l->fd, (struct sockaddr *)&address, sizeof address);
    umask(umask_before);
    if (bound < 0)
        return fail_sys(error, "cannot bind %s", path);

    enum err e = OK;
    if (gid != (gid_t)-1 && fchownat(l->dir, draft, (uid_t)-1, gid, AT_SYMLINK_NOFOLLOW) < 0)
        e = fail_sys(error, "cannot give %s to group %u", path, (unsigned)gid);
    else if (fchmodat(l->dir, draft, mode, 0) < 0)
        e = fail_sys(error, "cannot set the mode of %s", path);
    else if (listen(l->fd, BACKLOG) < 0)
        e = fail_sys(error, "cannot listen at %s", path);
    else if (fstatat(l->dir, draft, &l->made, AT_SYMLINK_NOFOLLOW) < 0)
        e = fail_sys(error, "cannot look at %s", path);
    else if (renameat(l->dir, draft, l->dir, l->name) < 0)
        e = fail_sys(error, "cannot put %s in place", path);
    if (e)
        unlinkat(l->dir, draft, 0);
    return e;
}

static enum err bind_socket(struct listener *l, const char *path, mode_t mode, gid_t gid,
                            struct error *error)
{
    enum err e = open_directory(l, path, error);
    if (!e)
        e = check_place(l, path, error);
    if (e)
        return e;
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return fail_sys(error, "cannot make a socket");
    char draft[32];
    snprintf(draft, sizeof draft, ".inferd-%d", (int)getpid());
    return put_in_place(l, draft, path, mode, gid, error);
}

static enum err bind_tcp(struct listener *l, const char *text, struct error *error)
{
    struct sockaddr_storage address;
    socklen_t len;
    enum err e = tcp_address_read(text, &address, &len, error);
    if (e)
        return e;
    l->fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return fail_sys(error, "cannot make a socket");
    setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    if (bind(l->fd, (struct sockaddr *)&address, len) < 0 || listen(l->fd, BACKLOG) < 0)
        return fail_sys(error, "cannot listen at %s", text);
    return OK;
}

/* --- accepting ------------------------------------------------------------- */

static void on_breather(uv_timer_t *timer);

/* False if there are no descriptors left. */
static bool accept_some(struct listener *l)
{
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            l->on_accept(l->owner, fd);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            return false;
        else if (errno != ECONNABORTED && errno != EINTR)
            return true;
    }
    return true;
}

static void on_connection(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    struct listener *l = poll->data;
    if (!accept_some(l)) {
        uv_poll_stop(&l->poll);
        uv_timer_start(&l->breather, on_breather, BREATHER_MS, 0);
    }
}

static void on_breather(uv_timer_t *timer)
{
    struct listener *l = timer->data;
    uv_poll_start(&l->poll, UV_READABLE, on_connection);
}

static void watch(struct listener *l, struct io *io)
{
    l->poll.data = l;
    l->breather.data = l;
    uv_timer_init(io->loop, &l->breather);
    uv_poll_start(&l->poll, UV_READABLE, on_connection);
    l->open_handles = 2;
}

static struct listener *listener_new(accept_fn *on_accept, void *owner)
{
    struct listener *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->fd = l->dir = -1;
    l->on_accept = on_accept;
    l->owner = owner;
    return l;
}

/* Nobody but us was told of the socket's name: is it still ours to remove? */
static void remove_name(const struct listener *l)
{
    struct stat st;
    if (l->dir >= 0 && fstatat(l->dir, l->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_ino == l->made.st_ino && st.st_dev == l->made.st_dev)
        unlinkat(l->dir, l->name, 0);
}

/* `made` is what became of making it: begin to accept, or let go of everything. */
static enum err begin(struct listener *l, struct io *io, enum err made, struct listener **ret,
                      struct error *error)
{
    enum err e = made;
    int failed = e ? 0 : uv_poll_init(io->loop, &l->poll, l->fd);
    if (failed)
        e = fail(error, ERR_SYSTEM, "cannot watch a socket: %s", uv_strerror(failed));
    if (!e) {
        watch(l, io);
        *ret = l;
        return OK;
    }
    remove_name(l);
    close_fd(&l->fd);
    close_fd(&l->dir);
    free(l);
    return e;
}

enum err listener_open(struct io *io, const char *path, mode_t mode, gid_t gid,
                       accept_fn *on_accept, void *owner, struct listener **ret,
                       struct error *error)
{
    struct listener *l = listener_new(on_accept, owner);
    if (!l)
        return fail_nomem(error);
    return begin(l, io, bind_socket(l, path, mode, gid, error), ret, error);
}

enum err listener_open_tcp(struct io *io, const char *address, accept_fn *on_accept, void *owner,
                           struct listener **ret, struct error *error)
{
    struct listener *l = listener_new(on_accept, owner);
    if (!l)
        return fail_nomem(error);
    return begin(l, io, bind_tcp(l, address, error), ret, error);
}

enum err listener_adopt(struct io *io, int fd, accept_fn *on_accept, void *owner,
                        struct listener **ret, struct error *error)
{
    struct listener *l = listener_new(on_accept, owner);
    if (!l) {
        close(fd);
        return fail_nomem(error);
    }
    l->fd = fd;
    return begin(l, io, OK, ret, error);
}

static void on_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;
    if (--l->open_handles == 0)
        free(l);
}

void listener_close(struct listener *l)
{
    if (!l)
        return;
    accept_some(l);
    remove_name(l);
    uv_close((uv_handle_t *)&l->poll, on_closed);
    uv_close((uv_handle_t *)&l->breather, on_closed);
    close_fd(&l->fd);
    close_fd(&l->dir);
}
