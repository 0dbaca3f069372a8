/*
 * fetch.h - make one model present in the store.
 */
#pragma once

#include "events.h"
#include "options.h"

/* The whole flow, told on `events` except for its failure. */
enum outcome fetch_run(const struct options *options, struct events *events,
                       struct error *error) MUST_USE;
