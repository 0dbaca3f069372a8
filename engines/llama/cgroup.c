/*
 * cgroup.c - /proc/self/cgroup names the group ("0::/a/b"); then from there upwards.
 *
 * What a group has used includes the pages of files that it read, which the kernel takes
 * back when somebody needs them: those that were not used lately count as free.
 */
#include "cgroup.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

struct text {
    char at[16 * 1024];
};

static bool slurp(const char *directory, const char *name, struct text *ret)
{
    char path[PATH_MAX];
    return snprintf(path, sizeof path, "%s/%s", directory, name) < (int)sizeof path &&
           file_peek(path, ret->at, sizeof ret->at);
}

/* A file with one number; `none` if it is not there or says "max". */
static uint64_t number(const char *directory, const char *name, uint64_t none)
{
    struct text text;
    uint64_t n;
    return slurp(directory, name, &text) && sscanf(text.at, "%" SCNu64, &n) == 1 ? n : none;
}

/* A line "KEY NUMBER" of memory.stat; 0 if there is none. */
static uint64_t statistic(const char *directory, const char *key)
{
    struct text text;
    size_t n = strlen(key);
    uint64_t value;
    if (!slurp(directory, "memory.stat", &text))
        return 0;
    for (char *line = text.at; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, n) == 0 && line[n] == ' ' &&
            sscanf(line + n, " %" SCNu64, &value) == 1)
            return value;
    }
    return 0;
}

static uint64_t memory_left(const char *directory)
{
    uint64_t max = number(directory, "memory.max", UINT64_MAX);
    if (max == UINT64_MAX)
        return max;
    uint64_t used = number(directory, "memory.current", 0);
    uint64_t spare = statistic(directory, "inactive_file");
    used = used > spare ? used - spare : 0;
    return max > used ? max - used : 0;
}

/* "200000 100000": microseconds in each period of so many. */
static unsigned processors(const char *directory)
{
    struct text text;
    uint64_t quota, period;
    if (!slurp(directory, "cpu.max", &text) ||
        sscanf(text.at, "%" SCNu64 " %" SCNu64, &quota, &period) != 2 || period == 0)
        return 0;
    uint64_t n = quota / period + (quota % period != 0);
    return n == 0 ? 1 : n > UINT_MAX ? 0 : (unsigned)n;
}

static void narrow(struct cgroup *c, const char *directory)
{
    uint64_t left = memory_left(directory);
    unsigned n = processors(directory);
    c->memory_left = left < c->memory_left ? left : c->memory_left;
    c->processors = n && (!c->processors || n < c->processors) ? n : c->processors;
}

/* The group's directory; false if there is none of version 2. */
static bool own_directory(const char *root, char *ret, size_t size)
{
    char proc[PATH_MAX];
    snprintf(proc, sizeof proc, "%s/proc/self", root);
    struct text text;
    if (!slurp(proc, "cgroup", &text))
        return false;
    char *line = strncmp(text.at, "0::", 3) == 0 ? text.at : strstr(text.at, "\n0::");
    if (!line)
        return false;
    line = strstr(line, "0::") + 3;
    line[strcspn(line, "\n")] = '\0';
    return line[0] == '/' && snprintf(ret, size, "%s/sys/fs/cgroup%s", root, line) < (int)size;
}

struct cgroup cgroup_read(const char *root)
{
    struct cgroup c = { .memory_left = UINT64_MAX };
    char directory[PATH_MAX];
    if (!own_directory(root, directory, sizeof directory))
        return c;
    size_t top = strlen(root) + strlen("/sys/fs/cgroup");
    for (char *slash; strlen(directory) > top; *slash = '\0') {
        narrow(&c, directory);
        slash = strrchr(directory, '/');
    }
    return c;
}
