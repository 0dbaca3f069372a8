/*
 * outcome.c - see outcome.h.
 */
#include "outcome.h"

#include <stdarg.h>
#include <stdio.h>

const char *outcome_name(enum outcome outcome)
{
    switch (outcome) {
#define X(name, code, text)                                                                        \
    case name:                                                                                     \
        return text;
        OUTCOME_LIST(X)
#undef X
    }
    return "internal";
}

enum outcome give_up(struct error *error, enum outcome outcome, const char *fmt, ...)
{
    char sentence[ERROR_MESSAGE_MAX + 1] = "";
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    (void)fail(error, ERR_INTERNAL, "%s", sentence);
    return outcome;
}

enum outcome outcome_of(enum err e)
{
    switch (e) {
    case OK:
        return PRESENT;
    case ERR_INVALID_REQUEST:
        return USAGE;
    case ERR_BUSY:
        return CONTENDED;
    case ERR_MISMATCH:
        return HASH_MISMATCH;
    case ERR_NO_SPACE:
        return NO_SPACE;
    case ERR_SYSTEM:
    case ERR_NOT_FOUND:
    case ERR_CONFIG:
    case ERR_PROTOCOL:
    case ERR_FRAME_TOO_LARGE:
        return IO;
    default:
        return BROKEN;
    }
}
