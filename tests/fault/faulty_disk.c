/*
 * faulty_disk.c - a disk that breaks, for LD_PRELOAD.
 *
 *     FAULTY_DISK="pwrite ENOSPC 1000000"
 *
 * The call (pwrite, pread, fsync or fdatasync) fails with the error on files that are, or
 * would be, at least so many bytes long.  Journals and manifests are short, so they are
 * spared.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Does `call` on something of this size fail?  Then errno is set. */
static bool broken(const char *call, off_t size)
{
    char name[16] = "", error[16] = "";
    long long from = 0;
    const char *order = getenv("FAULTY_DISK");
    if (!order || sscanf(order, "%15s %15s %lld", name, error, &from) != 3 ||
        strcmp(name, call) != 0 || size < from)
        return false;
    errno = strcmp(error, "ENOSPC") == 0 ? ENOSPC : EIO;
    return true;
}

static off_t size_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? st.st_size : 0;
}

static void *next(const char *name)
{
    void *f = dlsym(RTLD_NEXT, name);
    if (!f)
        abort();
    return f;
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): libc's are reserved */
ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    ssize_t (*real)(int, const void *, size_t, off_t) = next("pwrite");
    return broken("pwrite", at + (off_t)n) ? -1 : real(fd, bytes, n, at);
}

ssize_t pread(int fd, void *bytes, size_t n, off_t at)
{
    ssize_t (*real)(int, void *, size_t, off_t) = next("pread");
    return broken("pread", at + (off_t)n) ? -1 : real(fd, bytes, n, at);
}

int fsync(int fd)
{
    int (*real)(int) = next("fsync");
    return broken("fsync", size_of(fd)) ? -1 : real(fd);
}

int fdatasync(int fd)
{
    int (*real)(int) = next("fdatasync");
    return broken("fdatasync", size_of(fd)) ? -1 : real(fd);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
