/*
 * name.c - see name.h.  The order of the rules is part of the contract: a name that
 * breaks several is refused with the first.
 */
#include "store/name.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Messages show at most this much of a name, so that the reason is never cut off. */
enum { SHOWN_MAX = 256 };

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool has_only_what_is_allowed(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_letter_or_digit(name[i]) && name[i] != '.' && name[i] != '_' && name[i] != '-')
            return false;
    return true;
}

/* CON, com1.gguf, ...: Windows looks at what stands before the first dot. */
static bool is_device(const char *name, size_t len)
{
    static const char *const devices[] = { "CON", "PRN", "AUX", "NUL" };
    const char *dot = memchr(name, '.', len);
    size_t stem = dot ? (size_t)(dot - name) : len;
    for (size_t i = 0; i < ARRAY_LEN(devices); i++)
        if (stem == 3 && strncasecmp(name, devices[i], 3) == 0)
            return true;
    return stem == 4 && name[3] >= '1' && name[3] <= '9' &&
           (strncasecmp(name, "COM", 3) == 0 || strncasecmp(name, "LPT", 3) == 0);
}

static const char *objection(const char *name, size_t len)
{
    if (len == 0)
        return "must not be empty";
    if (len > MODEL_NAME_MAX)
        return "must be at most 128 bytes";
    if (name[0] == '.')
        return "must not start with '.'";
    if (memmem(name, len, "..", 2))
        return "must not contain '..'";
    if (memchr(name, '/', len) || memchr(name, '\\', len))
        return "must not contain a path separator";
    if (!has_only_what_is_allowed(name, len))
        return "may contain only ASCII letters, digits, '.', '-' and '_'";
    if (is_device(name, len))
        return "must not be a Windows reserved device name";
    return NULL;
}

enum err model_name_check(const char *name, size_t len, struct error *error)
{
    const char *reason = objection(name, len);
    if (!reason)
        return OK;
    return fail(error, ERR_INVALID_REQUEST, "invalid model name \"%.*s\": %s",
                (int)(len < SHOWN_MAX ? len : SHOWN_MAX), name, reason);
}
