/*
 * names.h - names that somebody else chose: is one there twice, and how to show one.
 *
 * Names are kept as hashes of 64 bits, so a million of them take 8 MiB however long
 * they are.  That two different ones collide by chance is less likely than a broken
 * disk; who makes them collide on purpose gets a file of his own refused.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct names {
    uint64_t *hashes; /* owned */
    size_t n, cap;
};

/* To begin a hash with, and to add bytes to it. */
#define NAME_HASH_INIT UINT64_C(0xcbf29ce484222325)
uint64_t name_hash(uint64_t hash, const void *bytes, size_t n);

enum err names_add(struct names *names, uint64_t hash) MUST_USE;

/* Sorts them; adding after that is fine. */
bool names_repeat(struct names *names);

/* For CLEANUP, too. */
void names_done(struct names *names);

/* As much of the name as fits, harmless to look at. */
void name_show(const char *name, char *ret, size_t size);
