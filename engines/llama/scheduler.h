/*
 * scheduler.h - the loop that computes.
 *
 *     orders -> free slots -> one batch -> llama_decode -> sample -> one write
 */
#pragma once

#include "intake.h"

/* Compute until the daemon says `drain` and nothing is left.  ERR_CLOSED: it is gone. */
enum err scheduler_run(struct worker *w, struct intake *intake, const struct model *model,
                       struct error *error) MUST_USE;
