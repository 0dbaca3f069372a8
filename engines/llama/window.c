/*
 * window.c - `bytes` hold the file from `start` on; `at` is inside them, or they are
 * read anew.
 */
#include "window.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

void window_open(struct window *w, window_read_fn *read, void *context, uint64_t size)
{
    w->read = read;
    w->context = context;
    w->size = size;
    w->at = 0;
    w->about = "the header";
    w->start = 0;
    w->len = 0;
}

static enum err too_short(const struct window *w, uint64_t wanted, struct error *error)
{
    return fail(error, ERR_CONFIG,
                "the file ends too early: %s at byte %" PRIu64 " needs %" PRIu64
                " bytes and there are %" PRIu64,
                w->about, w->at, wanted, window_left(w));
}

static enum err refill(struct window *w, struct error *error)
{
    uint64_t left = window_left(w);
    size_t n = left < sizeof w->bytes ? (size_t)left : sizeof w->bytes;
    errno = 0;
    w->len = 0;
    if (!w->read(w->context, w->bytes, n, w->at))
        return fail_sys(error, "cannot read byte %" PRIu64 " of the file", w->at);
    w->start = w->at;
    w->len = n;
    return OK;
}

enum err window_take(struct window *w, void *to, size_t n, struct error *error)
{
    char *out = to;
    if (n > window_left(w))
        return too_short(w, n, error);
    while (n > 0) {
        if (w->at < w->start || w->at - w->start >= w->len) {
            enum err e = refill(w, error);
            if (e)
                return e;
        }
        size_t from = (size_t)(w->at - w->start);
        size_t part = n < w->len - from ? n : w->len - from;
        memcpy(out, w->bytes + from, part);
        w->at += part;
        out += part;
        n -= part;
    }
    return OK;
}

enum err window_skip(struct window *w, uint64_t n, struct error *error)
{
    if (n > window_left(w))
        return too_short(w, n, error);
    w->at += n;
    return OK;
}

/* --- numbers --------------------------------------------------------------- */

static enum err take_number(struct window *w, size_t n, uint64_t *ret, struct error *error)
{
    unsigned char bytes[8] = { 0 };
    enum err e = window_take(w, bytes, n, error);
    if (e)
        return e;
    *ret = 0;
    for (size_t i = n; i-- > 0;)
        *ret = *ret << 8 | bytes[i];
    return OK;
}

enum err window_u16(struct window *w, uint16_t *ret, struct error *error)
{
    uint64_t n = 0;
    enum err e = take_number(w, sizeof *ret, &n, error);
    if (!e)
        *ret = (uint16_t)n;
    return e;
}

enum err window_u32(struct window *w, uint32_t *ret, struct error *error)
{
    uint64_t n = 0;
    enum err e = take_number(w, sizeof *ret, &n, error);
    if (!e)
        *ret = (uint32_t)n;
    return e;
}

enum err window_u64(struct window *w, uint64_t *ret, struct error *error)
{
    return take_number(w, sizeof *ret, ret, error);
}

/* --- a descriptor ---------------------------------------------------------- */

bool window_read_fd(void *context, void *to, size_t n, uint64_t at)
{
    int fd = *(const int *)context;
    char *out = to;
    while (n > 0) {
        ssize_t got = pread(fd, out, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            errno = got < 0 ? errno : EIO;
            return false;
        }
        out += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return true;
}
