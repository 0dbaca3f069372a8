/*
 * admin.h - what the admin socket says and hears: one JSON line per event, order and
 * reply, keys in alphabetical order.  docs/admin.md is the whole of it for those at the
 * other end.
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

/* --- orders and replies ------------------------------------------------------ */

enum admin_op {
    ADMIN_STATS,
    ADMIN_RELOAD,
    ADMIN_DRAIN,
    ADMIN_CANCEL, /* the request `serial` */
    ADMIN_UNLOAD, /* the engine of `backend` */
    ADMIN_LOAD,   /* likewise */
};

enum {
    ADMIN_OP_MAX = 16, /* bytes of an op's name, as far as it is sent back */
    ADMIN_LABEL_MAX = 256,
};

struct admin_order {
    enum admin_op op;
    uint64_t serial;
    char backend[ADMIN_LABEL_MAX];
};

/* "cancel" */
const char *admin_op_name(enum admin_op op);

/*
 * Read one line (of any bytes) as an order.  `op` gets the name that the reply carries,
 * on failure too: "" where the line has none.
 *
 * ERR_INVALID_REQUEST, ERR_NO_MEMORY
 */
enum err admin_read_order(const char *line, size_t len, struct admin_order *ret,
                          char op[ADMIN_OP_MAX + 1], struct error *error) MUST_USE;

/* Append the reply to an order that was followed.  `notes` says what came of it: sentences,
 * each ended by a newline. */
enum err admin_put_done(struct buf *out, const char *op, const struct buf *notes) MUST_USE;

/* Append the reply to one that was not. */
enum err admin_put_refusal(struct buf *out, const char *op, const struct error *why) MUST_USE;

/* Append a tree as a frame; for the files of this folder. */
enum err admin_put_line(struct buf *out, const json_t *tree) MUST_USE;
