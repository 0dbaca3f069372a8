/*
 * partial.c - open, lock, and make sure that what is locked is still what the name means.
 *
 * Between opening data.tmp and getting its lock, the holder of the lock may have published
 * or removed it.  So the name is looked up again under the lock; if it means something
 * else by then, all starts over, from making the directory.
 */
#include "store/partial.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "store/dir.h"

#define DATA "data.tmp"

/* Each try means that somebody else finished in between. */
enum { TRIES = 100 };

static enum err open_aa(const struct store *s, const struct digest *d, int *ret_fd,
                        struct error *error)
{
    return dir_make(s->blobs_fd, blob_names(d).aa, ret_fd, error);
}

/* ERR_NOT_FOUND: the name went away meanwhile. */
static enum err try_open(struct partial *p, bool wait, struct error *error)
{
    CLEANUP(close_fd) int aa = -1;
    CLEANUP(close_fd) int dir = -1;
    CLEANUP(close_fd) int fd = -1;
    enum err e = open_aa(p->store, &p->digest, &aa, error);
    if (e == OK)
        e = dir_make(aa, blob_names(&p->digest).partial, &dir, error);
    if (e == OK)
        e = dir_open_file(dir, DATA, O_RDWR | O_CREAT, &fd, NULL, error);
    if (e)
        return e;
    if (!lock_file(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB)) {
        if (errno == EWOULDBLOCK)
            return fail(error, ERR_BUSY, "the download of sha256:%s is held by another process",
                        p->digest.hex);
        return dir_fail(dir, DATA, "cannot lock", error);
    }
    if (!dir_is(dir, DATA, fd))
        return fail(error, ERR_NOT_FOUND, "sha256:%s was finished meanwhile", p->digest.hex);
    p->dir_fd = TAKE_FD(dir);
    p->fd = TAKE_FD(fd);
    return OK;
}

/* An empty file has nothing that a journal could be about. */
static enum err drop_stale_journal(struct partial *p, struct error *error)
{
    struct stat st;
    if (fstat(p->fd, &st) < 0)
        return dir_fail(p->dir_fd, DATA, "cannot look at", error);
    p->fresh = st.st_size == 0;
    return p->fresh ? dir_unlink(p->dir_fd, PARTIAL_JOURNAL, error) : OK;
}

enum err partial_open(struct partial *p, const struct store *s, const struct digest *d, bool wait,
                      struct error *error)
{
    *p = (struct partial){ .store = s, .digest = *d, .dir_fd = -1, .fd = -1 };
    enum err e = ERR_NOT_FOUND;
    for (int i = 0; e == ERR_NOT_FOUND && i < TRIES; i++)
        e = try_open(p, wait, error);
    if (e == OK)
        e = drop_stale_journal(p, error);
    if (e == OK)
        return no_error(error);
    partial_done(p);
    return e;
}

void partial_done(struct partial *p)
{
    close_fd(&p->fd);
    close_fd(&p->dir_fd);
}

enum err partial_discard(struct partial *p, struct error *error)
{
    CLEANUP(close_fd) int aa = -1;
    enum err e = open_aa(p->store, &p->digest, &aa, error);
    return e ? e : dir_remove(aa, blob_names(&p->digest).partial, error);
}

/* What was hashed is what p->fd is; only that may be moved. */
static enum err still_there(const struct partial *p, struct error *error)
{
    if (!dir_is(p->dir_fd, DATA, p->fd))
        return fail(error, ERR_CONFIG, "the partial of sha256:%s was replaced by another program",
                    p->digest.hex);
    if (fsync(p->fd) < 0)
        return dir_fail(p->dir_fd, DATA, "cannot flush", error);
    return OK;
}

enum err partial_publish(struct partial *p, struct error *error)
{
    struct error why;
    enum err e = still_there(p, &why);
    if (e == OK)
        e = blob_place(p->store, &p->digest, p->dir_fd, DATA, &why);
    if (e)
        return fail(error, e, "finalise rename: %s", why.message);
    /* The blob is in place; what may be left over is gc's. */
    e = partial_discard(p, NULL);
    (void)e;
    return OK;
}

enum err partial_quarantine(struct partial *p, const char *reason, char *ret_path,
                            struct error *error)
{
    enum err e = still_there(p, error);
    if (e == OK)
        e = quarantine(p->store, p->dir_fd, DATA, reason, ret_path, error);
    return e ? e : partial_discard(p, error);
}
