/*
 * storage.h - what all commands about the store have in common: where it is, --json, and
 * at most one word.
 *
 *     struct storage s = { 0 };
 *     if (!storage_read(&s, args) || !storage_open(&s))
 *         return args->exit_code;
 *     ... s.store ...
 *     storage_done(&s);
 */
#pragma once

#include "args.h"
#include "output.h"
#include "store/store.h"

/* The first flags of each of these commands. */
enum { STORAGE_DIR, STORAGE_JSON, STORAGE_FLAGS };

/* clang-format off */
#define STORAGE_FLAG_ROWS                                                                  \
    [STORAGE_DIR] = { "--store", 0, "DIR", "the store, if it is not in its usual place" }, \
    [STORAGE_JSON] = { "--json", 0, NULL, "lines of JSON" }
/* clang-format on */

struct storage {
    const char *dir;  /* as given; NULL: the usual place */
    const char *word; /* NULL: there was none */
    bool json;
    struct output out; /* standard output */
    struct store store;
    bool open;
};

/* As args_next(), but what is common is taken care of: what comes back is a flag of the
 * command's own, the end, or ARG_STOP. */
enum arg storage_next(struct storage *s, struct args *args);

/* For commands that have no flags of their own: false if the program is to end with
 * args->exit_code. */
bool storage_read(struct storage *s, struct args *args);

/* Is there a word, and is it a model's name?  False after a complaint. */
bool storage_has_name(const struct storage *s);

/* Find the store and open it for reading.  False after a complaint, with TROUBLE in
 * args->exit_code. */
bool storage_open(struct storage *s, struct args *args);

/* What is fine if it was never opened, too. */
void storage_done(struct storage *s);
