/*
 * file.c - see file.h.
 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void close_fd(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        close(*fd);
        errno = saved;
        *fd = -1;
    }
}

enum err file_read(const char *path, size_t max, char **ret_bytes, size_t *ret_len,
                   struct error *error)
{
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail_sys(error, "cannot open '%s'", path);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return fail_sys(error, "cannot read '%s'", path);
    if (!S_ISREG(st.st_mode))
        return fail(error, ERR_CONFIG, "'%s' is not a regular file", path);
    if ((uint64_t)st.st_size > max)
        return fail(error, ERR_FRAME_TOO_LARGE, "'%s' has %lld bytes; at most %zu are allowed",
                    path, (long long)st.st_size, max);

    size_t size = (size_t)st.st_size;
    CLEANUP(free_ptr) char *bytes = malloc(size + 1);
    if (!bytes)
        return fail_nomem(error);
    size_t len = 0;
    while (len < size) {
        ssize_t n = read(fd, bytes + len, size - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_sys(error, "cannot read '%s'", path);
        if (n == 0)
            break; /* it shrank under our hands; what is there is what it holds */
        len += (size_t)n;
    }
    bytes[len] = '\0';
    *ret_bytes = TAKE(bytes);
    *ret_len = len;
    return OK;
}

bool file_peek(const char *path, char *ret, size_t size)
{
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n = fd < 0 ? -1 : 1;
    while (n > 0 && len < size - 1) {
        n = read(fd, ret + len, size - 1 - len);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            len += (size_t)n;
    }
    ret[len] = '\0';
    return n >= 0;
}

bool write_all(int fd, const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n > 0) {
        ssize_t done = write(fd, at, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        at += done;
        n -= (size_t)done;
    }
    return true;
}

enum err make_directories(const char *path, struct error *error)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof part)
        return fail(error, ERR_CONFIG, "'%s' is not a path of 1 to %d bytes", path, PATH_MAX - 1);
    memcpy(part, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        part[i] = '\0';
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            return fail_sys(error, "cannot make directory '%s'", part);
        if (i < len)
            part[i] = '/';
    }
    struct stat st;
    if (stat(path, &st) < 0)
        return fail_sys(error, "cannot make directory '%s'", path);
    if (!S_ISDIR(st.st_mode))
        return fail(error, ERR_CONFIG, "'%s' is not a directory", path);
    return OK;
}

enum err program_directory(char *ret, size_t size, struct error *error)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n < 0)
        return fail_sys(error, "cannot find out where this program lies");
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    size_t len = slash && slash > path ? (size_t)(slash - path) : 1;
    if (len >= size)
        return fail(error, ERR_CONFIG, "'%s' is too long", path);
    memcpy(ret, path, len);
    ret[len] = '\0';
    return OK;
}
