/*
 * failure.c - see failure.h.
 */
#include "client/failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static void tell(struct inferd_error *error, enum inferd_status status, const char *fmt,
                 va_list args)
{
    error->status = status;
    error->code[0] = '\0';
    error->queue_depth = error->retry_after_ms = 0;
    int wanted = vsnprintf(error->message, sizeof error->message, fmt, args);
    if (wanted >= (int)sizeof error->message) /* may end inside a character: give up the half */
        error->message[utf8_whole(error->message, sizeof error->message - 1)] = '\0';
}

enum inferd_status failure(struct inferd_error *error, enum inferd_status status, const char *fmt,
                           ...)
{
    if (!error)
        return status;
    va_list args;
    va_start(args, fmt);
    tell(error, status, fmt, args);
    va_end(args);
    return status;
}

enum inferd_status failure_sys(struct inferd_error *error, enum inferd_status status,
                               const char *fmt, ...)
{
    if (!error)
        return status;
    const char *reason = strerror(errno);
    char sentence[sizeof error->message];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    return failure(error, status, "%s: %s", sentence, reason);
}

enum inferd_status failure_nomem(struct inferd_error *error)
{
    return failure(error, INFERD_FAILED, "out of memory");
}
