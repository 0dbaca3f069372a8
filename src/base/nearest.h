/*
 * nearest.h - the name that was meant, for a name that is nearly right.
 */
#pragma once

#include <stddef.h>

/* Which of `n` names is nearly `wrong`: at most two letters inserted, dropped or changed.
 * NULL if none is near. */
const char *nearest(const char *wrong, const char *const *names, size_t n);
