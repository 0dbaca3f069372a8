/*
 * error.h - a code for the program, a sentence for the person.
 *
 * A function that can fail returns an `enum err`; OK is zero.  Results come back
 * through `ret_` parameters, untouched on failure.  Those that know more than
 * the code take a `struct error *` and fill it, only on failure:
 *
 *     if (fd < 0)
 *         return fail_sys(error, "cannot open '%s'", path);
 *     if (n > max)
 *         return fail(error, ERR_INVALID_REQUEST, "top_k is %lld; at most %u", v, max);
 *
 * Code that cannot judge a failure returns it and stays silent; the one place
 * that can judge it reports it, once.
 *
 * The wire name of an error stands in the same row as its code, so the protocol
 * cannot drift from the program.  Codes that a client has no use for are
 * "internal" on the wire.
 */
#pragma once

#include <stdbool.h>

#include "base/base.h"

/* clang-format off */
#define ERROR_LIST(X)                                               \
    /* code                wire name            */                  \
    X(INVALID_REQUEST,      "invalid_request")                      \
    X(FRAME_TOO_LARGE,      "frame_too_large")                      \
    X(QUEUE_FULL,           "queue_full")                           \
    X(BACKEND_UNAVAILABLE,  "backend_unavailable")                  \
    X(INTERNAL,             "internal")                             \
    /* nothing yet: call again when there is more */                \
    X(AGAIN,                "internal")                             \
    /* the peer is gone */                                          \
    X(CLOSED,               "internal")                             \
    X(NO_MEMORY,            "internal")                             \
    /* a system call said no; the message says which */             \
    X(SYSTEM,               "internal")                             \
    /* the other end broke the protocol */                          \
    X(PROTOCOL,             "internal")                             \
    /* a flag or a configuration file is wrong */                   \
    X(CONFIG,               "internal")                             \
    /* somebody else has it: a lock, a socket */                    \
    X(BUSY,                 "internal")                             \
    /* bytes are not what their digest says */                      \
    X(MISMATCH,             "internal")                             \
    /* it is not there */                                           \
    X(NOT_FOUND,            "internal")                             \
    /* no descriptors, processes or memory now; later there may be */ \
    X(EXHAUSTED,            "internal")                             \
    /* the disk has too little room */                              \
    X(NO_SPACE,             "internal")
/* clang-format on */

enum err {
    OK = 0,
#define X(name, wire) ERR_##name,
    ERROR_LIST(X)
#undef X
};

/* How many codes there are, OK included. */
enum {
#define X(name, wire) +1
    ERROR_CODES = 1 ERROR_LIST(X),
#undef X
};

enum { ERROR_MESSAGE_MAX = 512 };

struct error {
    enum err code;
    char message[ERROR_MESSAGE_MAX]; /* UTF-8 whatever was put in; cut at a whole character */
};

/* The name a client sees: "queue_full".  "ok" for OK. */
const char *error_wire_name(enum err code);

/* The code that a wire name stands for; false if it is none of ours.  Names that
 * several codes share give ERR_INTERNAL. */
bool error_from_wire_name(const char *name, enum err *ret_code);

/* Fill `error` (NULL is fine) and return `code`, so that failing is one statement.
 * The old message may be an argument: `fail(e, e->code, "at start: %s", e->message)`. */
enum err fail(struct error *error, enum err code, const char *fmt, ...) PRINTF(3, 4);

/* The same with ERR_SYSTEM, and ": <what errno says>" behind the sentence. */
enum err fail_sys(struct error *error, const char *fmt, ...) PRINTF(2, 3);

/* ERR_NO_MEMORY and its sentence. */
enum err fail_nomem(struct error *error);
