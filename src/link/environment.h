/*
 * environment.h - what a child may know of our environment: what it is listed to need and
 * nothing else.
 */
#pragma once

enum { ENVIRONMENT_MAX = 64 };

struct environment {
    char *list[ENVIRONMENT_MAX + 1]; /* ended by NULL; borrowed, in part from environ */
};

/* `own` are settings ("NAME=value") for this kind of child, `passed_on` the names whose
 * settings are ours; both are ended by NULL and together hold at most ENVIRONMENT_MAX. */
void environment_make(struct environment *env, const char *const *own,
                      const char *const *passed_on);
