/*
 * poison.h - requests that may be what killed an engine.
 *
 *     (none) -- its engine died --> SUSPECT -- alone, it came through --> (none)
 *                                      |
 *                                      +-- alone, its engine died, twice --> REFUSED
 *
 * When an engine dies, any of the requests it was working on may be the reason.  Each of them
 * is a suspect from then on, and runs alone, so that it takes nobody with it and shows
 * what it is.  An hour after its last engine died, all is forgotten.
 *
 * Requests are known by a fingerprint under a key that this process has made up: from what is
 * kept nobody can tell what was asked.  Knows no requests and no clock.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

enum {
    SUSPECTS_MAX = 1024, /* of more, those whose engine died longest ago are forgotten */
    SUSPECT_MS = 60 * 60 * 1000,
    DEATHS_ALONE_MAX = 2,
    FINGERPRINT_BYTES = 16,
    POISON_KEY_BYTES = 32,
};

struct fingerprint {
    unsigned char bytes[FINGERPRINT_BYTES];
};

enum verdict {
    POISON_NONE,
    POISON_SUSPECT, /* it is to run alone */
    POISON_REFUSED,
};

struct suspect {
    struct fingerprint print;
    int64_t died_ms; /* when it was there last */
    unsigned deaths_alone;
};

struct poison {
    unsigned char key[POISON_KEY_BYTES];
    struct suspect suspects[SUSPECTS_MAX]; /* by died_ms */
    size_t n;
};

enum err poison_init(struct poison *p, struct error *error) MUST_USE;

/* Of what is asked, by its encoding.  Any thread.  ERR_NO_MEMORY */
enum err poison_fingerprint(const struct poison *p, const char *said, size_t len,
                            struct fingerprint *ret) MUST_USE;

/* What is held against it at `now_ms`? */
enum verdict poison_judge(struct poison *p, const struct fingerprint *print, int64_t now_ms);

/* An engine has died that was working on it; on nothing else, since it was a suspect
 * (`alone`). */
void poison_accuse(struct poison *p, const struct fingerprint *print, bool alone, int64_t now_ms);

/* How many there are at `now_ms`, and how many of them are refused. */
struct poison_counts {
    size_t suspects, refused;
};
struct poison_counts poison_count(const struct poison *p, int64_t now_ms);

/* It came through alone. */
void poison_clear(struct poison *p, const struct fingerprint *print);
