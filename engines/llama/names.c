/*
 * names.c - FNV-1a, an array that doubles, qsort().
 */
#include "names.h"

#include <string.h>

#include "base/utf8.h"

uint64_t name_hash(uint64_t hash, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
    return hash;
}

enum err names_add(struct names *names, uint64_t hash)
{
    if (names->n == names->cap) {
        size_t cap = names->cap ? names->cap * 2 : 256;
        uint64_t *grown = reallocarray(names->hashes, cap, sizeof *grown);
        if (!grown)
            return ERR_NO_MEMORY;
        names->hashes = grown;
        names->cap = cap;
    }
    names->hashes[names->n++] = hash;
    return OK;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

bool names_repeat(struct names *names)
{
    if (names->n < 2)
        return false;
    qsort(names->hashes, names->n, sizeof names->hashes[0], by_value);
    for (size_t i = 1; i < names->n; i++)
        if (names->hashes[i] == names->hashes[i - 1])
            return true;
    return false;
}

void names_done(struct names *names)
{
    free(names->hashes);
    *names = (struct names){ 0 };
}

void name_show(const char *name, char *ret, size_t size)
{
    size_t n = strnlen(name, size - 1);
    memcpy(ret, name, n);
    ret[n] = '\0';
    utf8_scrub(ret, n);
    utf8_tame(ret, n);
}
