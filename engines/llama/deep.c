/*
 * deep.c - see deep.h.
 *
 * At most a quarter of the machine's memory: a hostile text may use all of a stack, and
 * there are two.  Where the process's memory is limited, address space counts, too: then a
 * sixteenth of that.  A page at the end lets a miscalculation end the process, not its data.
 */
#include "deep.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define STACK_LEAST ((size_t)64 * 1024 * 1024)
#define STACK_MOST  ((size_t)4 * 1024 * 1024 * 1024)
#define STACK_KEPT  ((size_t)1024 * 1024) /* also what is not the text's: frames above it */

static size_t most_bytes(void)
{
    struct rlimit limit;
    size_t memory = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE) / 4;
    if (getrlimit(RLIMIT_DATA, &limit) == 0 && limit.rlim_cur / 16 < memory)
        memory = limit.rlim_cur / 16;
    if (memory > STACK_MOST)
        return STACK_MOST;
    return memory < STACK_LEAST ? STACK_LEAST : memory;
}

static bool map(struct deep *d, size_t bytes)
{
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    void *at = mmap(NULL, guard + bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (at == MAP_FAILED)
        return false;
    if (mprotect(at, guard, PROT_NONE) < 0) {
        munmap(at, guard + bytes);
        return false;
    }
    d->stack = (char *)at + guard;
    d->bytes = bytes;
    return true;
}

enum err deep_init(struct deep *d, size_t bytes, struct error *error)
{
    size_t most = most_bytes();
    size_t want =
        bytes > most / DEEP_BYTES_PER_BYTE ? most : bytes * DEEP_BYTES_PER_BYTE + STACK_KEPT;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    want = want < STACK_LEAST ? STACK_LEAST : want / page * page;
    for (;; want /= 2) {
        if (map(d, want))
            return OK;
        if (want / 2 < STACK_LEAST)
            return fail_sys(error, "cannot set aside %zu MiB for a stack", want >> 20);
    }
}

size_t deep_text_max(const struct deep *d)
{
    return (d->bytes - STACK_KEPT) / DEEP_BYTES_PER_BYTE;
}

enum err deep_start(struct deep *d, void *(*run)(void *), void *arg, struct error *error)
{
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0)
        return fail_nomem(error);
    errno = pthread_attr_setstack(&attr, d->stack, d->bytes);
    if (!errno)
        errno = pthread_create(&d->thread, &attr, run, arg);
    enum err e = errno ? fail_sys(error, "cannot start a thread") : OK;
    pthread_attr_destroy(&attr);
    return e;
}

void deep_rest(const struct deep *d)
{
    /* What this frame does not use any more; failing costs memory only. */
    madvise(d->stack, d->bytes - STACK_KEPT, MADV_DONTNEED);
}
