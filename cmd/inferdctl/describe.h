/*
 * describe.h - a model of the store as an object, for `list` and `show`.
 */
#pragma once

#include "base/json.h"
#include "store/models.h"

/* "present", "missing" (the manifest is there and its blob is not) or "unreadable" (the
 * manifest is none). */
const char *model_state(const struct model *m);

/* NULL when there is no memory for it. */
json_t *model_json(const struct store *s, const struct model *m) MUST_USE;
