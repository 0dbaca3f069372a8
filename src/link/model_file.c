/*
 * model_file.c - see model_file.h.
 */
#include "link/model_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "link/child.h"

bool identity_same(const struct identity *a, const struct identity *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->modified.tv_sec == b->modified.tv_sec && a->modified.tv_nsec == b->modified.tv_nsec &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

enum err model_file_open(const char *path, int *ret_fd, struct identity *ret, struct error *error)
{
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail_start(error, errno, "cannot open the model", path);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return fail_sys(error, "cannot read the model '%s'", path);
    if (!S_ISREG(st.st_mode))
        return fail(error, ERR_CONFIG, "the model '%s' is not a regular file", path);
    *ret = (struct identity){ st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim };
    *ret_fd = TAKE_FD(fd);
    return OK;
}
