/*
 * base.h - the few words we add to C.
 *
 * Release on every path:
 *
 *     CLEANUP(free_ptr) char *name = strdup(s);
 *     CLEANUP(close_fd) int   fd   = open(path, O_RDONLY | O_CLOEXEC);
 *
 * Initialise on the line that declares: an attribute on an uninitialised
 * variable releases garbage.
 *
 * TAKE(p) hands the value on and disarms the cleanup: `return TAKE(name);`
 * shows the reader that ownership leaves this function.
 */
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn)                     __attribute__((cleanup(fn)))
#define MUST_USE                        __attribute__((warn_unused_result))
#define PRINTF(fmt, args)               __attribute__((format(printf, fmt, args)))
#define UNUSED                          __attribute__((unused))

#define ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))

#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define TAKE(p)                                                                                    \
    __extension__({                                                                                \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })

#define TAKE_FD(fd)                                                                                \
    __extension__({                                                                                \
        int taken_ = (fd);                                                                         \
        (fd) = -1;                                                                                 \
        taken_;                                                                                    \
    })

/* Borrowed bytes, not terminated.  How long they live is said by whoever hands
 * them out. */
struct slice {
    const char *at;
    size_t len;
};

/* For CLEANUP on any pointer that free() takes. */
static inline void free_ptr(void *p)
{
    free(*(void **)p);
}

/* For CLEANUP; -1 is fine.  Leaves errno alone. */
void close_fd(int *fd);
