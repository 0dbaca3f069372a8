/*
 * line.h - bytes in, sound lines out.
 *
 * The NDJSON surfaces carry one JSON value per line.  This module knows as much
 * about JSON as is needed to refuse, while the bytes arrive, what would be costly
 * or dangerous to parse: invalid UTF-8, a byte-order mark, NUL, nesting that is too
 * deep, too many values, a line that is too long.  What it hands out can be given
 * to the parser without fear; whether it is JSON at all is the parser's to say.
 *
 *     e = line_reader_room(&r, &at, &room);
 *     n = read(fd, at, room);
 *     line_reader_filled(&r, n);                 n == 0: line_reader_end(&r)
 *     while ((e = line_reader_next(&r, &line, &error)) == OK)
 *         handle(line);
 *
 * Every byte is looked at once, as it arrives, so what one call costs is bounded by
 * the size of one read however long the line grows.  However the bytes are chopped,
 * the lines and the errors are the same.
 *
 * A reader that holds no bytes holds no memory.
 */
#pragma once

#include "base/buf.h"
#include "base/utf8.h"

enum {
    LINE_VALUES_MAX = 100000, /* JSON values on one line, keys not counted */
    LINE_READ_MAX = 64 * 1024,
    LINE_FIRST_READ = 4 * 1024, /* while nothing is held: most lines are short */
};

/* What is known of a line after some of its bytes. */
struct line_scan {
    struct utf8 utf8;
    bool blank; /* nothing but white space so far */
    bool in_string;
    bool escaped;      /* the next byte of the string stands behind a backslash */
    bool after_string; /* a colon would make it a key */
    bool in_atom;      /* inside a number, true, false or null */
    unsigned depth;
    size_t values;
};

struct line_reader {
    struct buf in;
    size_t max_line;
    unsigned max_depth;
    size_t taken;   /* bytes of `in` already handed out */
    size_t scanned; /* bytes of `in` already looked at; at least `taken` */
    size_t line_at; /* the line handed out last, in `in` */
    size_t line_len;
    bool has_line;         /* is it still there? */
    bool ended;            /* no more bytes will come */
    struct line_scan scan; /* of the bytes from `taken` to `scanned` */
    struct error broken;   /* its code is OK while the stream can be followed */
};

/* A line may have at most `max_line` bytes, its newline not counted (a carriage
 * return before it is).  Allocates nothing. */
void line_reader_init(struct line_reader *r, size_t max_line, unsigned max_depth);
void line_reader_done(struct line_reader *r);

/* Lines may be that long from the next one on: right after line_reader_next() has handed one
 * out, or before the first. */
void line_reader_set_max(struct line_reader *r, size_t max_line);

/*
 * Where to put the next bytes, at most LINE_READ_MAX of them.  Lines handed out
 * before are no longer valid.
 *
 * ERR_NO_MEMORY  the reader is as before
 * ERR_AGAIN      it holds all it may: call line_reader_next() first.  Never said
 *                after line_reader_next() said ERR_AGAIN.
 *
 * Once line_reader_next() refused the stream, its error.
 */
enum err line_reader_room(struct line_reader *r, char **ret_at, size_t *ret_room) MUST_USE;

/* `n` bytes were put there; 0 is fine, and gives back what room() took. */
void line_reader_filled(struct line_reader *r, size_t n);

/* No more will come: what stands without a newline is the last line. */
void line_reader_end(struct line_reader *r);

/*
 * The next line, without its newline (or carriage return).  Blank lines are
 * skipped.  Valid until the next line_reader_room(), _next() or _take().
 *
 * ERR_AGAIN            no whole line yet
 * ERR_CLOSED           no whole line, and none will come
 * ERR_FRAME_TOO_LARGE  longer than max_line (said before its newline is seen)
 * ERR_PROTOCOL         not sound; the sentence says where and why
 *
 * The last two end the conversation; the answer stays the same if asked again.
 * `error` is filled for these two only.
 */
enum err line_reader_next(struct line_reader *r, struct slice *ret_line,
                          struct error *error) MUST_USE;

/*
 * The line that line_reader_next() just returned, now the caller's to free().
 * Costs no copy of the line where it is longer than one read: only the bytes behind
 * it, at most one read, are moved.  The bytes have no terminator.
 *
 * ERR_NO_MEMORY  the reader and the line are as before
 */
enum err line_reader_take(struct line_reader *r, char **ret_bytes, size_t *ret_len) MUST_USE;

/* Bytes that arrived and were not handed out yet. */
size_t line_reader_pending(const struct line_reader *r);
