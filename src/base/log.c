/*
 * log.c - one write per line, so that lines of several processes stay whole.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"

static const char *log_name = "inferd";
static enum log_level log_level = LOG_INFO;

static const char *const level_names[] = {
    [LOG_ERROR] = "error",
    [LOG_WARN] = "warn",
    [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug",
};

void log_init(const char *name, enum log_level level)
{
    log_name = name;
    log_level = level;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    if (level > log_level)
        return;

    char line[1024];
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
    n += (size_t)snprintf(line + n, sizeof line - n, ".%03ldZ %s: %s: ", now.tv_nsec / 1000000,
                          log_name, level_names[level]);

    va_list args;
    va_start(args, fmt);
    int more = vsnprintf(line + n, sizeof line - n, fmt, args);
    va_end(args);
    if (more > 0)
        n += (size_t)more;
    if (n >= sizeof line)
        n = utf8_whole(line, sizeof line - 1);
    line[n++] = '\n';

    /* A log nobody reads must not stop the program: what can't be written is lost. */
    ssize_t written = write(STDERR_FILENO, line, n);
    (void)written;
}
