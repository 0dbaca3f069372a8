/*
 * utf8.h - whole characters, and no others (RFC 3629: no surrogates, no overlong
 * forms, nothing above U+10FFFF).
 *
 * A `struct utf8` checks a stream that arrives in pieces:
 *
 *     struct utf8 u = { 0 };
 *     if (!utf8_feed(&u, bytes, n) || ... at the end ... !utf8_complete(&u))
 *         refuse();
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct utf8 {
    uint8_t need; /* continuation bytes still to come */
    uint8_t low;  /* the next one must be at least this ... */
    uint8_t high; /* ... and at most this; both 0 between characters */
};

/* False if `bytes` can't go on from what was fed before; the state is then of
 * no further use. */
bool utf8_feed(struct utf8 *u, const char *bytes, size_t n);

/* Does the stream stand between two characters? */
static inline bool utf8_complete(const struct utf8 *u)
{
    return u->need == 0;
}

/* Make `bytes` UTF-8: each byte that belongs to no character becomes a '?'. */
void utf8_scrub(char *bytes, size_t n);

/* Make UTF-8 harmless to look at: each byte of a control character (C0, DEL, C1) becomes a
 * '?', so that nothing starts a line or moves a cursor. */
void utf8_tame(char *bytes, size_t n);

/* Length of the longest prefix of `bytes` that does not end inside a character.
 * Only the end is looked at: what stands before is taken to be well-formed. */
size_t utf8_whole(const char *bytes, size_t n);
