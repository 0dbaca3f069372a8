/*
 * options.h - the mock engine's knobs, as its entry in the configuration sets them.
 */
#pragma once

#include "plan.h"

struct options {
    struct plan plan;       /* the answer to everybody, unless `scripted` */
    bool scripted;          /* the last user message is a command: plan_read() */
    int64_t token_delay_ms; /* before each piece */
    int64_t load_delay_ms;
    struct capabilities capabilities; /* but `slots` */
};

/* Texts stay in `tree`, which must outlive the options.  Members that are none of the
 * knobs are for others and passed over. */
enum err options_read(const json_t *tree, struct options *ret, struct error *error) MUST_USE;
void options_done(struct options *o);
