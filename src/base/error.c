/*
 * error.c - codes, names and sentences.
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static const char *const wire_names[] = { [OK] = "ok",
#define X(name, wire) [ERR_##name] = wire,
                                          ERROR_LIST(X)
#undef X
};

const char *error_wire_name(enum err code)
{
    return wire_names[code];
}

bool error_from_wire_name(const char *name, enum err *ret_code)
{
    if (strcmp(name, "internal") == 0) {
        *ret_code = ERR_INTERNAL;
        return true;
    }
    for (size_t i = OK + 1; i < ARRAY_LEN(wire_names); i++) {
        if (strcmp(name, wire_names[i]) == 0) {
            *ret_code = (enum err)i;
            return true;
        }
    }
    return false;
}

/* Values in a message may be cut inside a character, or be paths, which need not be
 * UTF-8 at all; what leaves here can go into JSON. */
static void set_message(struct error *error, const char *sentence)
{
    size_t n = strnlen(sentence, ERROR_MESSAGE_MAX);
    if (n >= ERROR_MESSAGE_MAX)
        n = utf8_whole(sentence, ERROR_MESSAGE_MAX - 1);
    memcpy(error->message, sentence, n);
    error->message[n] = '\0';
    utf8_scrub(error->message, n);
}

/* One byte more than a message has, so that set_message() sees what does not fit. */
enum { SENTENCE_MAX = ERROR_MESSAGE_MAX + 1 };

enum err fail(struct error *error, enum err code, const char *fmt, ...)
{
    if (!error)
        return code;
    char sentence[SENTENCE_MAX] = "";
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    error->code = code;
    set_message(error, sentence);
    return code;
}

enum err fail_sys(struct error *error, const char *fmt, ...)
{
    if (!error)
        return ERR_SYSTEM;
    const char *reason = strerror(errno);
    char sentence[SENTENCE_MAX] = "";
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    return fail(error, ERR_SYSTEM, "%s: %s", sentence, reason);
}

enum err fail_nomem(struct error *error)
{
    return fail(error, ERR_NO_MEMORY, "out of memory");
}
