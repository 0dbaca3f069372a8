/*
 * log.h - sentences for the person who runs the program, on standard error.
 *
 * Nothing at all in normal operation beyond starting and stopping; never a
 * prompt, an answer or a secret.  What happened to requests is the activity
 * log's business, not this one's.
 *
 *     log_warn("engine '%s' died by %s; starting it again in %d ms", ...);
 */
#pragma once

#include "base/error.h"

enum log_level { LOG_OFF, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Lines above `level` are dropped (OFF: all); INFO unless this was called.  `name` stands
 * before each line and is kept, not copied. */
void log_init(const char *name, enum log_level level);

void log_line(enum log_level level, const char *fmt, ...) PRINTF(2, 3);

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
