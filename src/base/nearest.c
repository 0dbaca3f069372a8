/*
 * nearest.c - see nearest.h.
 */
#include "base/nearest.h"

#include <string.h>

enum {
    NAME_COMPARED_MAX = 32,
    MISTAKES_MAX = 2,
};

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* How many letters to insert, drop or change to make `b` of `a`. */
static size_t distance(const char *a, const char *b)
{
    size_t row[NAME_COMPARED_MAX + 1];
    size_t len = strlen(b);
    if (strlen(a) > NAME_COMPARED_MAX || len > NAME_COMPARED_MAX)
        return NAME_COMPARED_MAX;
    for (size_t j = 0; j <= len; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= len; j++) {
            size_t above = row[j];
            row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[len];
}

const char *nearest(const char *wrong, const char *const *names, size_t n)
{
    const char *best = NULL;
    size_t best_distance = MISTAKES_MAX + 1;
    for (size_t i = 0; i < n; i++) {
        size_t d = distance(wrong, names[i]);
        /* Everything of two letters is two mistakes from "rm". */
        if (d < best_distance && d < strlen(names[i])) {
            best = names[i];
            best_distance = d;
        }
    }
    return best;
}
