/*
 * lock.c - see lock.h.
 *
 * A daemon that is killed while it starts a child leaves, for a moment, a process that has
 * its descriptors and no program of its own yet.  So a lock that is held is tried for a
 * while before it is somebody's.
 */
#include "serve/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

enum { TRIES = 50, BETWEEN_MS = 10 };

static int lock(int fd)
{
    const struct timespec between = { .tv_nsec = BETWEEN_MS * 1000000L };
    int failed = -1;
    for (int i = 0; failed && i < TRIES; i++) {
        if (i > 0)
            nanosleep(&between, NULL);
        failed = flock(fd, LOCK_EX | LOCK_NB);
        if (failed && errno != EWOULDBLOCK && errno != EINTR)
            break;
    }
    return failed;
}

enum err lock_acquire(const char *path, int *ret_fd, struct error *error)
{
    CLEANUP(close_fd)
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0 && errno == ELOOP)
        return fail(error, ERR_CONFIG, "lock acquire failed: lock path is a symlink (refused): %s",
                    path);
    if (fd < 0 && (errno == EISDIR || errno == ENXIO))
        return fail(error, ERR_CONFIG, "lock acquire failed: lock path is not a regular file: %s",
                    path);
    if (fd < 0)
        return fail_sys(error, "lock acquire failed: cannot open %s", path);

    struct stat st;
    if (fstat(fd, &st) < 0)
        return fail_sys(error, "lock acquire failed: cannot look at %s", path);
    if (!S_ISREG(st.st_mode))
        return fail(error, ERR_CONFIG, "lock acquire failed: lock path is not a regular file: %s",
                    path);

    if (lock(fd) < 0) {
        if (errno == EWOULDBLOCK)
            return fail(error, ERR_BUSY,
                        "lock acquire failed: another inferd-daemon already holds the lock at %s",
                        path);
        return fail_sys(error, "lock acquire failed: cannot lock %s", path);
    }
    *ret_fd = TAKE_FD(fd);
    return OK;
}
