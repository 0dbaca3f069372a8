/*
 * staging.c - see staging.h.
 *
 * A shared or linked file is hashed where it lies, through the descriptor under which it
 * will be published.  A copy is hashed as it goes through our hands, which says what the
 * source was, and again as it lies there.
 */
#include "store/staging.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/file.h"
#include "store/dir.h"

enum { CHUNK = 1024 * 1024 };

/* --- ways in ------------------------------------------------------------------------ */

/* Nobody but us can change the bytes under our hands. */
static bool is_ours_alone(int source)
{
    struct stat st;
    return fstat(source, &st) == 0 && st.st_uid == geteuid() &&
           (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* A second name for the source.  False: it can't have one here. */
static bool try_link(struct staging *st, int source)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", source);
    int dir = st->store->locks_fd;
    if (!is_ours_alone(source) || dir_unlink(dir, st->file, NULL) != OK ||
        linkat(AT_FDCWD, path, dir, st->file, AT_SYMLINK_FOLLOW) < 0)
        return false;
    CLEANUP(close_fd) int fd = -1;
    if (dir_open_file(dir, st->file, O_RDONLY, &fd, NULL, NULL) != OK ||
        !dir_is(dir, st->file, source))
        return false;
    close_fd(&st->fd);
    st->fd = TAKE_FD(fd);
    return true;
}

/* Read once, then write and hash. */
static enum err copy_chunk(struct staging *st, int source, const char *path, struct hasher *h,
                           char *chunk, bool *ret_end, struct error *error)
{
    ssize_t n;
    while ((n = pread(source, chunk, CHUNK, (off_t)h->bytes)) < 0 && errno == EINTR)
        ;
    if (n < 0)
        return fail_sys(error, "cannot read '%s'", path);
    *ret_end = n == 0;
    if (!write_all(st->fd, chunk, (size_t)n))
        return dir_fail(st->store->locks_fd, st->file, "cannot write", error);
    return hasher_add(h, chunk, (size_t)n, error);
}

static enum err copy(struct staging *st, int source, const char *path, uint64_t total,
                     const struct progress *p, struct error *error)
{
    CLEANUP(free_ptr) char *chunk = malloc(CHUNK);
    CLEANUP(hasher_done) struct hasher h = { 0 };
    if (!chunk)
        return fail_nomem(error);
    enum err e = hasher_init(&h, error);
    for (bool end = false; e == OK && !end;) {
        e = copy_chunk(st, source, path, &h, chunk, &end, error);
        if (e == OK)
            e = progress_tell(p, h.bytes, total, error);
    }
    if (e)
        return e;
    st->size = h.bytes;
    st->how = TAKEN_COPIED;
    return hasher_end(&h, &st->digest, error);
}

/* --- the way through ------------------------------------------------------------------ */

static enum err make_copy(struct staging *st, int source, const char *path,
                          const struct progress *p, struct error *error)
{
    struct stat from;
    if (fstat(source, &from) < 0)
        return fail_sys(error, "cannot look at '%s'", path);
    enum err e = store_check_room(st->store, (uint64_t)from.st_size, error);
    if (e == OK) /* anew: a link that failed may have left nothing there, or something */
        e = dir_new_file(st->store->locks_fd, st->file, &st->fd, error);
    return e ? e : copy(st, source, path, (uint64_t)from.st_size, p, error);
}

enum err staging_take(struct staging *st, const struct store *s, const char *name, int source,
                      const char *path, bool link, const struct progress *p, struct error *error)
{
    snprintf(st->file, sizeof st->file, ".import-%s", name);
    enum err e = dir_new_file(s->locks_fd, st->file, &st->fd, error);
    if (e)
        return e;
    st->store = s;
    if (ioctl(st->fd, FICLONE, source) == 0) {
        st->how = TAKEN_SHARED;
    } else if (link && try_link(st, source)) {
        st->how = TAKEN_LINKED;
    } else {
        close_fd(&st->fd);
        return make_copy(st, source, path, p, error);
    }
    return digest_file(st->fd, path, p, &st->digest, &st->size, error);
}

enum err staging_verify(struct staging *st, const struct progress *p, struct error *error)
{
    struct digest found;
    if (st->how != TAKEN_COPIED)
        return OK;
    enum err e = digest_file(st->fd, st->file, p, &found, NULL, error);
    if (e)
        return e;
    if (!digest_equal(&found, &st->digest))
        return fail(error, ERR_MISMATCH, "copy verification failed: wrote %s but store holds %s",
                    st->digest.hex, found.hex);
    return OK;
}

enum err staging_publish(struct staging *st, struct error *error)
{
    int dir = st->store->locks_fd;
    if (!dir_is(dir, st->file, st->fd))
        return fail(error, ERR_CONFIG, "'%s' was replaced by another program", st->file);
    if (fsync(st->fd) < 0)
        return dir_fail(dir, st->file, "cannot flush", error);
    return blob_place(st->store, &st->digest, dir, st->file, error);
}

void staging_done(struct staging *st)
{
    /* Published, too: renaming one name of a file over another of the same does nothing. */
    if (st->store && dir_unlink(st->store->locks_fd, st->file, NULL) == OK)
        st->store = NULL;
    close_fd(&st->fd);
}
