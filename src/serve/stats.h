/*
 * stats.h - what the daemon knows of itself, gathered for the reply to "stats".
 */
#pragma once

#include "core/core.h"
#include "journal/accounting.h"
#include "journal/journal.h"
#include "wire/admin.h"

/* Append the reply.  `life` is the daemon's state. */
enum err stats_reply(struct buf *out, const struct core *core, const struct accounting *books,
                     const struct journal *journal, enum lifecycle life,
                     struct error *error) MUST_USE;
