/*
 * memory.c - the least of what the machine and the control group have, and the limit
 * that the daemon may have put on this process.
 */
#include "memory.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/file.h"

/* The kernel's own estimate of what can be had without swapping. */
static uint64_t of_the_machine(const char *root)
{
    static const char key[] = "MemAvailable:";
    char path[PATH_MAX];
    char text[4096];
    uint64_t kib;
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    if (!file_peek(path, text, sizeof text))
        return UINT64_MAX;
    const char *line = strstr(text, key);
    return line && sscanf(line + strlen(key), "%" SCNu64, &kib) == 1 ? kib * 1024 : UINT64_MAX;
}

static uint64_t of_the_process(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_DATA, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY
               ? (uint64_t)limit.rlim_cur
               : UINT64_MAX;
}

struct memory memory_read(const char *root, const struct cgroup *group)
{
    struct memory m = { .available = of_the_machine(root), .of = "this machine" };
    if (group->memory_left < m.available) {
        m.available = group->memory_left;
        m.of = "its control group";
    }
    m.of_the_process = of_the_process();
    return m;
}
