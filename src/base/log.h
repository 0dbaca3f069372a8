/*
 * log.h - sentences for the person who runs the program, on standard error.
 *
 * Nothing at all in normal operation beyond starting and stopping; never a
 * prompt, an answer or a secret.  What happened to requests is the activity
 * log's business, not this one's.
 *
 *     log_warn("engine '%s' died by %s; starting it again in %d ms", ...);
 *
 * A line is a line: control characters in what it quotes become '?'.
 */
#pragma once

#include "base/buf.h"

enum log_level { LOG_OFF, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Lines above `level` are dropped (OFF: all); INFO unless this was called.  `name` stands
 * before each line and is kept, not copied. */
void log_init(const char *name, enum log_level level);

/* What every line passes through before it is written: append what may be seen of it to
 * `out`.  A line that fails is not written.  Then only one thread may log. */
typedef enum err log_filter(void *context, const char *line, size_t len, struct buf *out);
void log_set_filter(log_filter *filter, void *context);

void log_line(enum log_level level, const char *fmt, ...) PRINTF(2, 3);

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
