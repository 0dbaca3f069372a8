/*
 * output.h - what leaves this program: text on standard output, sentences on
 * standard error.
 *
 * What a model writes is not to be trusted with a terminal: escape sequences can
 * retitle it, fake its contents or type into it.  So wherever a terminal is at the
 * other end, control characters (C0, DEL and C1) other than newline and tab become
 * U+FFFD.  Into files and pipes goes every byte as it is.
 *
 * Nothing is kept back: a piece of text is out when the call returns.
 */
#pragma once

#include "base/buf.h"

struct output {
    int fd;
    bool terminal;
    bool mid_line; /* the last thing written was not a newline */
    int broken;    /* errno of the write that failed; nothing is written after it */
};

void output_init(struct output *o, int fd);

/* False once the output is broken. */
bool output_put(struct output *o, const char *text, size_t len);
bool output_printf(struct output *o, const char *fmt, ...) PRINTF(2, 3);

/* `text` and a newline. */
bool output_line(struct output *o, const char *text, size_t len);

/* A newline, unless the output stands at the start of a line. */
bool output_end_line(struct output *o);

/* `code`, or, if the output is broken, what the program ends with for that; says why
 * unless it is only that nobody reads any more. */
int output_verdict(const struct output *o, int code);

/* Append UTF-8 text of whole characters, each control character replaced. */
enum err append_safely(struct buf *out, const char *text, size_t len) MUST_USE;

/* "inferdctl: <sentence>" on standard error; the second returns `code`. */
void complain(const char *fmt, ...) PRINTF(1, 2);
int complain_with(int code, const char *fmt, ...) PRINTF(2, 3);

/* "error: <sentence>", for the few failures that scripts know by these words. */
int error_with(int code, const char *fmt, ...) PRINTF(2, 3);
