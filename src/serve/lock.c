/*
 * lock.c - see lock.h.
 */
#include "serve/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

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

    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return fail(error, ERR_BUSY,
                        "lock acquire failed: another inferd-daemon already holds the lock at %s",
                        path);
        return fail_sys(error, "lock acquire failed: cannot lock %s", path);
    }
    *ret_fd = TAKE_FD(fd);
    return OK;
}
