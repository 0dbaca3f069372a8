/*
 * window.h - a file of any size, read front to back through 64 KiB.
 *
 *     window_open(&w, read, context, size_of_file);
 *     w.about = "the header";
 *     e = window_u32(&w, &version, &error);
 *     e = window_skip(&w, n, &error);      reads nothing
 *
 * It never reads beyond the file, never seeks back and allocates nothing, so a length
 * that somebody made up costs no more than an error.  Numbers are little-endian.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

/* All `n` bytes from `at` on; false with errno (0: the file has become shorter). */
typedef bool window_read_fn(void *context, void *to, size_t n, uint64_t at);

struct window {
    window_read_fn *read;
    void *context;
    uint64_t size;     /* of the file */
    uint64_t at;       /* the next byte */
    const char *about; /* what is being read, for errors: "the header"; never NULL */
    uint64_t start;    /* where `bytes` are from */
    size_t len;
    unsigned char bytes[64 * 1024];
};

void window_open(struct window *w, window_read_fn *read, void *context, uint64_t size);

static inline uint64_t window_left(const struct window *w)
{
    return w->size - w->at;
}

/* ERR_CONFIG, with a sentence that names place and subject, where the file ends before;
 * ERR_SYSTEM where it can't be read. */
enum err window_take(struct window *w, void *to, size_t n, struct error *error) MUST_USE;
enum err window_skip(struct window *w, uint64_t n, struct error *error) MUST_USE;
enum err window_u16(struct window *w, uint16_t *ret, struct error *error) MUST_USE;
enum err window_u32(struct window *w, uint32_t *ret, struct error *error) MUST_USE;
enum err window_u64(struct window *w, uint64_t *ret, struct error *error) MUST_USE;

/* For window_open(): pread() on the descriptor that `context` points to. */
window_read_fn window_read_fd;
