/*
 * match.h - a few strings, looked for in a text that comes in pieces.
 *
 *     for each byte: came = match_feed(m, byte);  the longest string that ends here, or 0
 *     match_pending(m);   how much of the end of the text may still become a string
 */
#pragma once

#include "base/error.h"
#include "proto/request.h"

enum { MATCH_BYTES_MAX = STOP_BYTES_MAX };

struct match;

/* The strings are copied; each has 1 to MATCH_BYTES_MAX bytes. */
enum err match_new(const struct slice *strings, size_t n, struct match **ret) MUST_USE;
void match_free(struct match *m);

size_t match_feed(struct match *m, char byte);
size_t match_pending(const struct match *m);
