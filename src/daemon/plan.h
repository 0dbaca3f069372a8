/*
 * plan.h - from a configuration to what core runs: programs found, models located.
 */
#pragma once

#include "config/config.h"
#include "config/place.h"
#include "core/core.h"

struct plan {
    const struct config *config; /* borrowed for the plan's life, as all that comes of it */
    struct backend_setup *setups;
    size_t n;
    char **programs;      /* by backend */
    struct place *places; /* likewise: where its model is, and how it gets there */
    char *fetcher;        /* the program; NULL: there is none */
    char *cache_dir;      /* NULL: none */
};

/* Nothing planned yet.  To be ended with plan_done() whatever comes of it. */
enum err plan_init(struct plan *plan, const struct config *config, struct error *error) MUST_USE;

/* Plan the configuration's backend number `i`.
 * ERR_CONFIG  a program or a model is missing; the sentence says what to do */
enum err plan_backend(struct plan *plan, size_t i, struct error *error) MUST_USE;

/* Both, for all of them. */
enum err plan_make(struct plan *plan, const struct config *config, struct error *error) MUST_USE;
void plan_done(struct plan *plan);
