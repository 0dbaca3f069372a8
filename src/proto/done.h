/*
 * done.h - the event `done` as text, written and read without a tree.
 *
 * Every request ends with one, so it is on the hot path.  What another program wrote
 * in another way (blanks, members in another order, exponents) is for event_read()
 * to read as any JSON.
 */
#pragma once

#include "proto/request.h"

/* "end" */
extern const char *const stop_names[STOP_ERROR + 1];

/* Append it as a whole frame. */
enum err done_put(struct buf *out, uint64_t serial, const struct outcome *outcome) MUST_USE;

/* Read a frame's payload; false if it is not just as done_put() writes them. */
bool done_read(struct slice payload, uint64_t *ret_serial, struct outcome *ret);
