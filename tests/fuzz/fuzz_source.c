/*
 * Whatever a configuration looks like, the line of each of its values lies inside of it, and
 * not before the line of what holds the value; and a key's line has the key on it.
 */
#include "fuzz.h"

#include <string.h>

#include "config/source.h"

enum { DEPTH_MAX = 8 };

static struct source source;

static unsigned last_line(void)
{
    unsigned n = 1;
    for (size_t i = 0; i < source.len; i++)
        n += source.text[i] == '\n';
    return n;
}

/* Does the key stand on that line?  Only asked for keys that are written as they are. */
static void check_key(const char *key, unsigned line)
{
    const char *at = source.text, *end = source.text + source.len;
    for (; line > 1; line--)
        at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    if (!stop)
        stop = end;
    REQUIRE(memmem(at, (size_t)(stop - at), key, strlen(key)));
}

static bool is_plain(const char *key)
{
    for (; *key; key++)
        if (*key < 'a' || *key > 'z')
            return false;
    return !memmem(source.text, source.len, "\\u", 2);
}

static void check(const struct spot *spot, unsigned least, unsigned depth)
{
    char name[SPOT_NAME_MAX];
    unsigned line = spot_line(&source, spot);
    spot_name(spot, name);
    REQUIRE(line >= least && line <= last_line());
    if (spot->key && is_plain(spot->key))
        check_key(spot->key, line);
    if (depth == DEPTH_MAX)
        return;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)spot->value, key, value)
    {
        struct spot member = { .up = spot, .key = key, .value = value };
        check(&member, line, depth + 1);
    }
    for (size_t i = 0; i < json_array_size(spot->value); i++) {
        struct spot entry = { .up = spot, .index = i, .value = json_array_get(spot->value, i) };
        check(&entry, line, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(json_drop) json_t *tree = NULL;
    if (size > 4096 || json_read((const char *)data, size, &tree, NULL))
        return 0;
    source = (struct source){ .path = "f", .text = (const char *)data, .len = size };
    struct spot root = { .value = tree };
    check(&root, 1, 0);
    return 0;
}
