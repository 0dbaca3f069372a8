/*
 * dir.c - see dir.h.
 */
#include "store/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

/* --- sentences --------------------------------------------------------------- */

struct shown {
    char path[PATH_MAX + NAME_MAX + 2];
};

/* The whole path of a name, as the kernel knows it; for people. */
static struct shown shown(int dir, const char *name)
{
    char link[64], at[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    ssize_t n = readlink(link, at, sizeof at - 1);
    at[n > 0 ? n : 0] = '\0';
    struct shown s;
    snprintf(s.path, sizeof s.path, "%s%s%s", at, n > 0 ? "/" : "", name);
    return s;
}

static bool is_link(int dir, const char *name)
{
    struct stat st;
    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

enum err dir_fail(int dir, const char *name, const char *what, struct error *error)
{
    int why = errno;
    enum err code = ERR_SYSTEM;
    if (why == ENOENT)
        code = ERR_NOT_FOUND;
    else if (why == ENOSPC || why == EDQUOT)
        code = ERR_NO_SPACE;
    return fail(error, code, "%s '%s': %s", what, shown(dir, name).path, strerror(why));
}

enum err no_error(struct error *error)
{
    if (error)
        *error = (struct error){ .code = OK };
    return OK;
}

/* What stands in the way of opening a name as `wanted`. */
static enum err cannot_open(int dir, const char *name, const char *wanted, struct error *error)
{
    int why = errno;
    if ((why == ELOOP || why == ENOTDIR) && is_link(dir, name))
        return fail(error, ERR_CONFIG, "'%s' is a symbolic link (refused)", shown(dir, name).path);
    if (why == ENOTDIR || why == EISDIR || why == ENXIO)
        return fail(error, ERR_CONFIG, "'%s' is not a %s", shown(dir, name).path, wanted);
    errno = why;
    return dir_fail(dir, name, "cannot open", error);
}

/* --- directories ------------------------------------------------------------- */

enum err dir_open(int dir, const char *name, int *ret_fd, struct error *error)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return cannot_open(dir, name, "directory", error);
    *ret_fd = fd;
    return OK;
}

enum err dir_make(int dir, const char *name, int *ret_fd, struct error *error)
{
    if (mkdirat(dir, name, 0700) == 0) {
        enum err e = dir_sync(dir, error);
        if (e)
            return e;
    } else if (errno != EEXIST) {
        return dir_fail(dir, name, "cannot make directory", error);
    }
    return dir_open(dir, name, ret_fd, error);
}

enum err dir_remove(int dir, const char *name, struct error *error)
{
    CLEANUP(close_fd) int fd = -1;
    CLEANUP(names_done) struct names names = { 0 };
    enum err e = dir_open(dir, name, &fd, error);
    if (e)
        return e == ERR_NOT_FOUND ? no_error(error) : e;
    e = dir_names(fd, &names, error);
    for (size_t i = 0; e == OK && i < names.n; i++)
        e = dir_unlink(fd, names.at[i], error);
    if (e)
        return e;
    if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return dir_fail(dir, name, "cannot remove", error);
    return dir_sync(dir, error);
}

enum err dir_sync(int dir, struct error *error)
{
    if (fsync(dir) < 0)
        return dir_fail(dir, "", "cannot flush directory", error);
    return OK;
}

/* --- files ------------------------------------------------------------------- */

enum err dir_open_file(int dir, const char *name, int flags, int *ret_fd, struct stat *ret_st,
                       struct error *error)
{
    /* O_NONBLOCK: a planted FIFO must not hold us. */
    CLEANUP(close_fd)
    int fd = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0)
        return cannot_open(dir, name, "regular file", error);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return dir_fail(dir, name, "cannot look at", error);
    if (!S_ISREG(st.st_mode))
        return fail(error, ERR_CONFIG, "'%s' is not a regular file", shown(dir, name).path);
    if (ret_st)
        *ret_st = st;
    *ret_fd = TAKE_FD(fd);
    return OK;
}

enum err dir_new_file(int dir, const char *name, int *ret_fd, struct error *error)
{
    if (is_link(dir, name))
        return fail(error, ERR_CONFIG, "'%s' is a symbolic link (refused)", shown(dir, name).path);
    enum err e = dir_unlink(dir, name, error);
    if (e)
        return e;
    return dir_open_file(dir, name, O_RDWR | O_CREAT | O_EXCL, ret_fd, NULL, error);
}

bool dir_has(int dir, const char *name)
{
    struct stat st;
    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

bool dir_is(int dir, const char *name, int fd)
{
    struct stat named, opened;
    return fstatat(dir, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && fstat(fd, &opened) == 0 &&
           named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

enum err dir_unlink(int dir, const char *name, struct error *error)
{
    if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
        return dir_fail(dir, name, "cannot remove", error);
    return OK;
}

/* --- names ------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void end_listing(DIR **d)
{
    if (*d)
        closedir(*d);
}

static bool names_add(struct names *names, const char *name)
{
    /* Doubling at every power of two. */
    if ((names->n & (names->n - 1)) == 0) {
        char **at = reallocarray(names->at, names->n ? names->n * 2 : 1, sizeof *at);
        if (!at)
            return false;
        names->at = at;
    }
    names->at[names->n] = strdup(name);
    return names->at[names->n] && ++names->n;
}

enum err dir_names(int dir, struct names *ret, struct error *error)
{
    CLEANUP(names_done) struct names names = { 0 };
    /* A descriptor of its own: reading moves the offset, and closedir() closes. */
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(end_listing) DIR *listing = fd < 0 ? NULL : fdopendir(fd);
    if (!listing) {
        enum err e = dir_fail(dir, "", "cannot list", error);
        close_fd(&fd);
        return e;
    }
    struct dirent *entry;
    while (errno = 0, (entry = readdir(listing)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (!names_add(&names, entry->d_name))
            return fail_nomem(error);
    }
    if (errno)
        return dir_fail(dir, "", "cannot list", error);
    if (names.n > 1)
        qsort(names.at, names.n, sizeof *names.at, by_name);
    *ret = names;
    names = (struct names){ 0 };
    return OK;
}

void names_done(struct names *n)
{
    for (size_t i = 0; i < n->n; i++)
        free(n->at[i]);
    free(n->at);
    *n = (struct names){ 0 };
}

/* --- locks ------------------------------------------------------------------- */

enum {
    LOOKS = 3, /* whoever only looks lets go at once */
    LOOK_PAUSE_MS = 5,
};

bool lock_file(int fd, int operation)
{
    for (int i = 1;; i++) {
        if (flock(fd, operation) == 0)
            return true;
        if (errno != EWOULDBLOCK || i == LOOKS)
            return false;
        nanosleep(&(struct timespec){ .tv_nsec = LOOK_PAUSE_MS * 1000000L }, NULL);
        errno = EWOULDBLOCK;
    }
}
