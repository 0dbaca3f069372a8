/*
 * stop.h - the strings that end an answer.
 *
 * An answer comes in pieces that know nothing of the strings: one may end inside a piece,
 * or begin in one and end three later.  What could still become one is held back until it
 * can't; of one that came, nothing is told.
 *
 *     stop_filter(stop, &text);    text: "Hel" -> "Hel", "lo EN" -> "lo ", "D" -> "", true
 *     stop_rest(stop, &text);      the answer ended otherwise: what was held back
 *
 * The string that is complete first ends the answer, whichever began first; of two that
 * are complete with the same byte, the longer.
 */
#pragma once

#include "base/buf.h"
#include "proto/request.h"

struct stop;

/* The strings are copied.  `*ret` is NULL if there are none; so the functions take it. */
enum err stop_new(const struct slice *strings, size_t n, struct stop **ret) MUST_USE;
void stop_free(struct stop *stop);

/*
 * `text` is the next piece of the answer, whole characters.  It becomes what is to be
 * told now, whole characters again.  `*ret_came`: a string came, and this is the end.
 * A failure (ERR_NO_MEMORY, the buffer's ceiling) is the end, too.
 */
enum err stop_filter(struct stop *stop, struct buf *text, bool *ret_came) MUST_USE;

/* Append what is held back. */
enum err stop_rest(struct stop *stop, struct buf *text) MUST_USE;
