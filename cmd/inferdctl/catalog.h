/*
 * catalog.h - models that can be pulled by their name alone.
 *
 * Each is pinned: a revision in the URL, a digest, a size.  So the name means the same bytes
 * to everybody, whatever the place that they come from says later.
 */
#pragma once

#include "store/digest.h"

struct catalog_entry {
    const char *name;
    const char *url;
    const char *sha256;
    uint64_t size;
    const char *license;
    const char *what; /* for people */
};

extern const struct catalog_entry catalog[];
extern const size_t n_catalog;

/* NULL if there is none. */
const struct catalog_entry *catalog_named(const char *name);
const struct catalog_entry *catalog_with(const struct digest *digest);

/* The same after a complaint that suggests the nearest name and lists them all. */
const struct catalog_entry *catalog_find(const char *name);

/* Complain a line for each. */
void catalog_tell(void);
