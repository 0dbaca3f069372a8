/*
 * sampling.h - the members of a request that say how its answer is chosen, in JSON.
 *
 * They have the same names, types and ranges on every wire and towards the engine, so
 * they are read in one place.
 *
 *     struct error first = { .code = OK };
 *     for (size_t i = 0; i < SAMPLING_FIELDS; i++)
 *         e = sampling_fields[i](root, g, &why);
 *
 * One function per member, because a wire goes on reading after a value out of range: a
 * wrong type further on is worse.
 */
#pragma once

#include "proto/request.h"

/*
 * Read one member of `root` into `g`, whose text stays `root`'s; absent or null leaves
 * the default.
 *
 * ERR_PROTOCOL         a wrong type
 * ERR_INVALID_REQUEST  out of range, with the value and the limit
 */
typedef enum err (*sampling_field)(const json_t *root, struct generate *g, struct error *error);

enum { SAMPLING_FIELDS = 12 };
extern const sampling_field sampling_fields[SAMPLING_FIELDS];

/* Append `,"temperature":1,...` with all that is not its default. */
enum err sampling_put(struct buf *out, const struct generate *g) MUST_USE;
