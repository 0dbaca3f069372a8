/*
 * check.h - `--check-config`.
 */
#pragma once

#include <stdbool.h>

#include "config/config.h"

/* Say on standard output what would be started with this configuration, and what keeps it
 * from that.  Touches nothing; false if it would not start. */
bool check_config(const struct config *config);
