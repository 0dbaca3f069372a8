/*
 * levels.h - how much is written, by component.
 *
 *     info                    everything from info upwards
 *     warn,activity=info      warnings, and what becomes of requests
 *     off                     nothing
 *
 * The words are those of the reference (INFERD_LOG): error, warn, info, debug, trace, off,
 * or 1 to 5 and 0.  A component may be written with the program's name before it
 * ("inferd_daemon::activity=debug"); the name alone stands for all of them.
 */
#pragma once

#include "base/log.h"

enum {
    LEVEL_RULES_MAX = 16,
    COMPONENT_BYTES_MAX = 32,
};

struct levels {
    enum log_level all;
    struct level_rule {
        char component[COMPONENT_BYTES_MAX];
        enum log_level level;
    } rules[LEVEL_RULES_MAX];
    size_t n_rules;
};

/* INFO for everything. */
void levels_init(struct levels *levels);

/* Read such a list; on failure (ERR_CONFIG) `ret` is as it was. */
enum err levels_read(const char *text, struct levels *ret, struct error *error) MUST_USE;

/* Is a line of this component and level to be written? */
bool levels_allow(const struct levels *levels, const char *component, enum log_level level);
