/*
 * admin.h - what the admin socket says: one JSON line per event, keys in
 * alphabetical order.  docs/admin.md is the whole of it for those who listen.
 *
 * Everything given here is UTF-8.  A frame is appended whole, newline included, or
 * not at all.
 */
#pragma once

#include "base/json.h"
#include "proto/engine.h"

enum lifecycle {
    LIFE_STARTING,
    LIFE_LOADING_MODEL, /* with a phase */
    LIFE_READY,
    LIFE_RESTARTING,
    LIFE_FAILED, /* no backend can serve any more */
    LIFE_DRAINING,
};

/* "loading_model" */
const char *lifecycle_name(enum lifecycle life);

/* Append a lifecycle frame.  `phase` is NULL where there is none; a phase's fields
 * that it does not have are left out (path "" and n_ctx 0). */
enum err admin_put_status(struct buf *out, enum lifecycle life,
                          const struct phase_news *phase) MUST_USE;

/* Append a frame that somebody else has made, if it is one: a line of inferd-fetch.
 * ERR_PROTOCOL when `tree` is no "status" of "loading_model". */
enum err admin_put_foreign(struct buf *out, const json_t *tree) MUST_USE;

/* Append a capabilities frame.  `label` is the backend's name in the configuration.
 * What the backend has not (rerank, cpu_variant, model, n_ctx) is left out. */
enum err admin_put_capabilities(struct buf *out, const char *label,
                                const struct capabilities *c) MUST_USE;
