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
static log_filter *filter;
static void *filter_context;

enum {
    LINE_BYTES_MAX = 1024,
    FILTERED_BYTES_MAX = 64 * 1024, /* what is put in for secrets may be longer than they */
};

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

void log_set_filter(log_filter *new_filter, void *context)
{
    filter = new_filter;
    filter_context = context;
}

/* A log nobody reads must not stop the program: what can't be written is lost. */
static void put(const char *line, size_t n)
{
    ssize_t written = write(STDERR_FILENO, line, n);
    (void)written;
}

static void put_filtered(const char *line, size_t n)
{
    struct buf out;
    buf_init(&out, FILTERED_BYTES_MAX);
    if (!filter(filter_context, line, n, &out))
        put(out.at, out.len);
    buf_done(&out);
}

void log_line(enum log_level level, const char *fmt, ...)
{
    if (level > log_level)
        return;

    char line[LINE_BYTES_MAX];
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
    utf8_tame(line, n);
    line[n++] = '\n';
    if (filter)
        put_filtered(line, n);
    else
        put(line, n);
}
