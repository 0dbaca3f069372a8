/*
 * report.h - the line that `generate --verbose` ends with.
 */
#pragma once

#include "inferd/client.h"

/* Tell on standard error what the answer took, as far as the daemon said it, and
 * which backend computed it; the admin socket at `admin` (NULL: the default one)
 * knows the CPU variant, if it can be reached. */
void report(const struct inferd_result *result, const char *admin);
