/*
 * lines.h - a connected socket as lines, both ways.
 *
 *     lines_init(&l, fd);
 *     status = lines_send(&l, line, len, &error);
 *     while (!(status = lines_next(&l, LINES_NO_DEADLINE, &line, &error)))
 *         handle(line);
 *     lines_done(&l);
 */
#pragma once

#include "base/buf.h"
#include "client/failure.h"

enum {
    /* The daemon's frames hold at most 64 MiB; what stands around that is small. */
    LINES_BYTES_MAX = 65 * 1024 * 1024,
};

#define LINES_NO_DEADLINE INT64_MAX

struct lines {
    int fd;
    struct buf in;
    size_t taken;   /* bytes of `in` already handed out */
    size_t scanned; /* bytes of `in` known to hold no newline behind `taken` */
};

/* Takes `fd`. */
void lines_init(struct lines *l, int fd);
void lines_done(struct lines *l);

/* INFERD_LOST: the daemon is gone, but may have left a last word; lines_next() has it. */
enum inferd_status lines_send(struct lines *l, const char *bytes, size_t n,
                              struct inferd_error *error) MUST_USE;

/*
 * The next line that is not blank, without its newline; valid until the next call.
 * Waits until clock_ms() is `deadline`.
 *
 * INFERD_LOST         the connection ended
 * INFERD_UNREACHABLE  nothing came in time
 * INFERD_PROTOCOL     a line of more than LINES_BYTES_MAX bytes
 */
enum inferd_status lines_next(struct lines *l, int64_t deadline, struct slice *ret_line,
                              struct inferd_error *error) MUST_USE;
