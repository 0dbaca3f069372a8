/*
 * outcome.h - how a run of inferd-fetch can end.
 *
 * The list is the contract with whoever started the program: the name stands in the last
 * event, the number is the exit code.  docs/fetch.md says what each means.
 *
 *     if (!https)
 *         return give_up(error, INSECURE_URL, "model URL must be https:// (got \"%s\")", url);
 */
#pragma once

#include "base/error.h"

/* clang-format off */
#define OUTCOME_LIST(X)                                                 \
    /* outcome          exit  name */                                   \
    X(PRESENT,            0, "present")                                 \
    X(BROKEN,             1, "internal")                                \
    X(USAGE,              2, "usage")                                   \
    X(INSECURE_URL,       3, "insecure_url")                            \
    X(TRANSPORT,          4, "transport")                               \
    X(HTTP_STATUS,        5, "http_status")                             \
    X(IO,                 6, "io")                                      \
    X(HASH_MISMATCH,      7, "hash_mismatch")                           \
    X(FINALISE,           8, "finalise")                                \
    X(CONTENDED,          9, "lock_contended")                          \
    X(NO_SOURCE,         10, "no_source")                               \
    X(OFFLINE,           11, "offline")                                 \
    X(SIZE_MISMATCH,     12, "size_mismatch")                           \
    X(NO_SPACE,          13, "no_space")
/* clang-format on */

enum outcome {
#define X(name, code, text) name = (code),
    OUTCOME_LIST(X)
#undef X
};

const char *outcome_name(enum outcome outcome);

/* Fill `error` and return `outcome`, so that failing is one statement. */
enum outcome give_up(struct error *error, enum outcome outcome, const char *fmt, ...) PRINTF(3, 4);

/* What a failure of the layers below is; its sentence stays. */
enum outcome outcome_of(enum err e);
