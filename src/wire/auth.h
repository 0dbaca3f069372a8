/*
 * auth.h - the key that a TCP client begins with.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { AUTH_LINE_MAX = 16 * 1024 };

/* Is the line {"type":"auth","key":"..."} with that key?  How long it takes tells nothing
 * of the key. */
bool auth_accepts(const char *line, size_t len, const char *key);
