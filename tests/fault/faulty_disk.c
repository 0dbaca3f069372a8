/*
 * faulty_disk.c - a disk that breaks, for LD_PRELOAD.
 *
 *     FAULTY_DISK="pwrite ENOSPC 1000000"
 *
 * The call (pwrite, pread, fsync, fdatasync, or write where it appends) fails with the
 * error, or with HANG never returns, on files that are, or would be, at least so many bytes
 * long.  Journals and manifests are short, so they are spared.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
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
    while (strcmp(error, "HANG") == 0)
        pause();
    errno = strcmp(error, "ENOSPC") == 0 ? ENOSPC : EIO;
    return true;
}

static off_t size_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? st.st_size : 0;
}

static bool is_appended_to(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (fcntl(fd, F_GETFL) & O_APPEND);
}

static void *next(const char *name)
{
    void *f = dlsym(RTLD_NEXT, name);
    if (!f)
        abort();
    return f;
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): libc's are reserved */
ssize_t write(int fd, const void *bytes, size_t n)
{
    ssize_t (*real)(int, const void *, size_t) = next("write");
    bool fails = is_appended_to(fd) && broken("write", size_of(fd) + (off_t)n);
    return fails ? -1 : real(fd, bytes, n);
}

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
