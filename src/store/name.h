/*
 * name.h - what a model may be called.
 *
 * A name becomes part of file names on every kind of system, so it may hold only what
 * all of them can.  Every function of the store that takes a name checks it with this
 * before it becomes a path; call it yourself to refuse a name before anything else is done.
 */
#pragma once

#include "base/error.h"

enum { MODEL_NAME_MAX = 128 };

/* `name` need not be terminated and may hold anything.
 * ERR_INVALID_REQUEST: `invalid model name "<name>": <reason>`. */
enum err model_name_check(const char *name, size_t len, struct error *error) MUST_USE;
