/*
 * auth.c - see auth.h.
 */
#include "wire/auth.h"

#include <string.h>

#include "base/json.h"

/* Every byte that was given is looked at, whatever was found before. */
static bool same_secret(const char *given, size_t given_len, const char *secret)
{
    size_t len = strlen(secret);
    volatile unsigned char differ = given_len != len;
    for (size_t i = 0; i < given_len; i++)
        differ |= (unsigned char)(given[i] ^ secret[len ? i % len : 0]);
    return differ == 0;
}

bool auth_accepts(const char *line, size_t len, const char *key)
{
    CLEANUP(json_drop) json_t *tree = NULL;
    if (json_read(line, len, &tree, NULL) || !json_is_object(tree))
        return false;
    const char *type = json_string_value(json_object_get(tree, "type"));
    json_t *given = json_object_get(tree, "key");
    if (!type || strcmp(type, "auth") != 0 || !json_is_string(given))
        return false;
    return same_secret(json_string_value(given), json_string_length(given), key);
}
