/*
 * keys.h - what a configuration may hold, as tables.
 *
 * A row names a key, its type and its limits.  What follows from a value is the business
 * of whoever reads it; that it is what the table promises has then been seen to.
 */
#pragma once

#include "config/source.h"

enum key_type {
    KEY_ANY, /* judged by whoever reads it */
    KEY_TEXT,
    KEY_BOOL,
    KEY_WHOLE,  /* a whole number from `lowest` to `highest` */
    KEY_OBJECT, /* with the keys of `inside` */
    KEY_LIST,
    KEY_IDS,    /* a list of user or group numbers */
    KEY_SOCKET, /* true, false, or the absolute path of a socket */
};

struct key {
    const char *name; /* NULL ends a table */
    enum key_type type;
    int64_t lowest, highest;
    const char *const *choices; /* of a text, NULL ends; NULL: any text */
    const struct key *inside;
    const char *unused; /* why it has no effect; NULL: it has one */
};

extern const struct key file_keys[];

/* Say what is wrong with the object at `spot`: keys that nobody knows (those that begin
 * with "x-" are notes), types, limits. */
void keys_check(const struct source *source, const struct spot *spot, const struct key *keys);
