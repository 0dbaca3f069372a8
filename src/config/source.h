/*
 * source.h - where in a configuration something stands, for the sentences about it.
 *
 *     struct spot list = { .key = "backends", .value = array };
 *     struct spot entry = { .up = &list, .index = 1, .value = object };
 *     struct spot key = { .up = &entry, .key = "n_ctx", .value = number };
 *     wrong_value(source, &key, "must be > 0 (got %d)", n);
 *
 * says
 *
 *     invalid config: /etc/inferd.json:12: backends["main"].n_ctx must be > 0 (got 0)
 *
 * An entry of a list is called by its own `name` where it has one.
 */
#pragma once

#include "base/json.h"
#include "config/findings.h"

struct source {
    const char *path; /* of the file; or what stands in its place, as "--backend" */
    const char *text; /* all of the file, which is valid JSON; NULL: it is not from a file */
    size_t len;
    struct findings *findings;
};

/* A value, and the way to it.  Everything is borrowed; `up` is NULL in the outermost
 * object. */
struct spot {
    const struct spot *up;
    const char *key; /* in an object */
    size_t index;    /* in a list, where there is no key */
    const json_t *value;
};

/* The member of the object at `up`; its value is NULL if it is absent or null. */
struct spot spot_member(const struct spot *up, const char *key);

enum { SPOT_NAME_MAX = 256 };

/* "backends[\"main\"].n_ctx", cut where it gets too long; "" for the outermost object. */
void spot_name(const struct spot *spot, char name[SPOT_NAME_MAX]);

/* The line that it begins on: that of its key, if it has one; of what it is missing from,
 * if it is not there. */
unsigned spot_line(const struct source *source, const struct spot *spot);

/* "<file>:<line>: <sentence>" */
void wrong_at(const struct source *source, const struct spot *spot, const char *fmt, ...)
    PRINTF(3, 4);

/* "<file>:<line>: <name> <sentence>" */
void wrong_value(const struct source *source, const struct spot *spot, const char *fmt, ...)
    PRINTF(3, 4);
void unused_value(const struct source *source, const struct spot *spot, const char *fmt, ...)
    PRINTF(3, 4);
