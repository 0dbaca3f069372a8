/*
 * secret.h - keys that came by the environment and do not stay there.
 *
 * Whoever reads the environment of a process, and whatever it starts, finds its keys.  So one
 * is taken out when it is read, and kept here for when the configuration is read again.
 */
#pragma once

#include "base/error.h"

struct secrets; /* NULL: none was taken */

/* The value of the variable, now or when it was taken; NULL: it has none.  Borrowed until
 * secrets_free().  ERR_NO_MEMORY */
enum err secrets_take(struct secrets **s, const char *variable, const char **ret,
                      struct error *error) MUST_USE;

/* As if `value`, which is wiped, had been the variable's. */
enum err secrets_keep(struct secrets **s, const char *variable, char *value, const char **ret,
                      struct error *error) MUST_USE;

void secrets_free(struct secrets *s);
