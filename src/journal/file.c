/*
 * file.c - see file.h.
 *
 * Before each append the file is looked at by its name: whoever renames it (logrotate), or
 * takes its directory away, gets a new one.  A write that stopped in the middle of a line
 * is taken back; a half line that a power cut left is closed with a newline, so that at
 * most one line can't be read.
 */
#include "journal/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum err log_file_init(struct log_file *f, const char *directory, struct error *error)
{
    *f = (struct log_file){ .dir = -1, .fd = -1 };
    f->path = strdup(directory);
    return f->path ? OK : fail_nomem(error);
}

static void close_both(struct log_file *f)
{
    close_fd(&f->fd);
    close_fd(&f->dir);
}

void log_file_done(struct log_file *f)
{
    close_both(f);
    free(TAKE(f->path));
}

/* --- opening ---------------------------------------------------------------- */

static enum err open_directory(struct log_file *f, struct error *error)
{
    struct stat st;
    enum err e = make_directories(f->path, error);
    if (e)
        return e;
    f->dir = open(f->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (f->dir < 0 || fstat(f->dir, &st) < 0)
        return fail_sys(error, "cannot open the log's directory '%.200s'", f->path);
    if (st.st_uid != geteuid())
        return fail(error, ERR_CONFIG, "the log's directory '%.200s' belongs to user %u", f->path,
                    (unsigned)st.st_uid);
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return fail(error, ERR_CONFIG, "others may write into the log's directory '%.200s'",
                    f->path);
    return OK;
}

static enum err check_file(const struct log_file *f, const struct stat *st, struct error *error)
{
    if (!S_ISREG(st->st_mode) || st->st_nlink != 1)
        return fail(error, ERR_CONFIG, "'%.200s/%s' is no file of its own", f->path, LOG_FILE_NAME);
    if (st->st_uid != geteuid())
        return fail(error, ERR_CONFIG, "'%.200s/%s' belongs to user %u", f->path, LOG_FILE_NAME,
                    (unsigned)st->st_uid);
    return OK;
}

/* Close a line that was never finished. */
static enum err end_half_line(int fd, off_t size, struct error *error)
{
    char last;
    if (size == 0 || pread(fd, &last, 1, size - 1) != 1 || last == '\n')
        return OK;
    return write_all(fd, "\n", 1) ? OK : fail_sys(error, "cannot write '%s'", LOG_FILE_NAME);
}

static enum err open_file(struct log_file *f, struct error *error)
{
    struct stat st;
    f->fd = openat(f->dir, LOG_FILE_NAME,
                   O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (f->fd < 0 || fstat(f->fd, &st) < 0)
        return fail_sys(error, "cannot open '%.200s/%s'", f->path, LOG_FILE_NAME);
    enum err e = check_file(f, &st, error);
    if (!e && (st.st_mode & 077) && fchmod(f->fd, 0600) < 0)
        e = fail_sys(error, "cannot close '%.200s/%s' to others", f->path, LOG_FILE_NAME);
    return e ? e : end_half_line(f->fd, st.st_size, error);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Are both still what their names lead to? */
static bool still_there(const struct log_file *f)
{
    struct stat ours, there;
    return f->fd >= 0 && fstat(f->dir, &ours) == 0 && lstat(f->path, &there) == 0 &&
           same_file(&ours, &there) && fstat(f->fd, &ours) == 0 &&
           fstatat(f->dir, LOG_FILE_NAME, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           same_file(&ours, &there);
}

static enum err make_ready(struct log_file *f, struct error *error)
{
    if (still_there(f))
        return OK;
    close_both(f);
    enum err e = open_directory(f, error);
    if (!e)
        e = open_file(f, error);
    if (e)
        close_both(f);
    return e;
}

/* --- rotating --------------------------------------------------------------- */

/* "inferd.ndjson.2"; the live file is number 0. */
static void name_of(int generation, char *ret, size_t size)
{
    snprintf(ret, size, generation ? "%s.%d" : "%s", LOG_FILE_NAME, generation);
}

static enum err rotate(struct log_file *f, struct error *error)
{
    char from[32], to[32];
    for (int i = LOG_GENERATIONS; i > 0; i--) {
        name_of(i - 1, from, sizeof from);
        name_of(i, to, sizeof to);
        if (renameat(f->dir, from, f->dir, to) < 0 && errno != ENOENT)
            return fail_sys(error, "cannot rotate '%.200s/%s'", f->path, from);
    }
    close_fd(&f->fd);
    return open_file(f, error);
}

/* --- appending -------------------------------------------------------------- */

/* How many of the bytes are whole lines that fit into `room`. */
static size_t whole_lines(const char *lines, size_t len, size_t room)
{
    if (len > room)
        len = room;
    const char *last = memrchr(lines, '\n', len);
    return last ? (size_t)(last - lines) + 1 : 0;
}

/* The next part that one file takes, rotated if it must be. */
static enum err make_room(struct log_file *f, const char *lines, size_t len, size_t *ret_part,
                          struct error *error)
{
    struct stat st;
    if (fstat(f->fd, &st) < 0)
        return fail_sys(error, "cannot look at '%.200s/%s'", f->path, LOG_FILE_NAME);
    size_t size = (size_t)st.st_size;
    size_t room = size < LOG_FILE_BYTES_MAX ? LOG_FILE_BYTES_MAX - size : 0;
    *ret_part = whole_lines(lines, len, room);
    if (*ret_part == 0) {
        enum err e = size ? rotate(f, error) : OK;
        if (e)
            return e;
        *ret_part = whole_lines(lines, len, LOG_FILE_BYTES_MAX);
    }
    if (*ret_part == 0) /* a giant */
        *ret_part = (size_t)((char *)memchr(lines, '\n', len) - lines) + 1;
    return OK;
}

/* Write what the disk takes; a line that was begun and not ended is taken back. */
static enum err write_lines(struct log_file *f, const char *lines, size_t len, size_t *ret_done,
                            struct error *error)
{
    size_t done = 0;
    ssize_t n = 0;
    while (done < len && (n = write(f->fd, lines + done, len - done)) != 0) {
        if (n < 0 && errno != EINTR)
            break;
        done += n > 0 ? (size_t)n : 0;
    }
    *ret_done = whole_lines(lines, done, done);
    if (done == len)
        return OK;
    enum err e = fail_sys(error, "cannot write '%.200s/%s'", f->path, LOG_FILE_NAME);
    struct stat st;
    off_t half = (off_t)(done - *ret_done);
    if (half && (fstat(f->fd, &st) < 0 || ftruncate(f->fd, st.st_size - half) < 0))
        close_fd(&f->fd); /* the next open ends the half line */
    return e;
}

enum err log_file_append(struct log_file *f, const char *lines, size_t len, size_t *ret_written,
                         struct error *error)
{
    *ret_written = 0;
    enum err e = make_ready(f, error);
    while (!e && *ret_written < len) {
        const char *at = lines + *ret_written;
        size_t part = 0, done = 0;
        e = make_room(f, at, len - *ret_written, &part, error);
        if (!e)
            e = write_lines(f, at, part, &done, error);
        *ret_written += done;
    }
    return e;
}
