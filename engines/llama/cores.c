/*
 * cores.c - a core is counted at the first of its processors that we may use.
 */
#include "cores.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

static void close_file(FILE **f)
{
    if (*f)
        fclose(*f);
}

/* Is a processor before `cpu` of the same core and also ours?  The kernel lists
 * siblings as "0,32" or "0-1". */
static bool core_counted(unsigned cpu, const cpu_set_t *ours)
{
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu);
    CLEANUP(close_file) FILE *f = fopen(path, "re");
    if (!f)
        return false; /* no topology: every processor is a core */

    unsigned first, last;
    int n;
    while ((n = fscanf(f, "%u-%u", &first, &last)) >= 1) {
        if (n == 1)
            last = first;
        for (unsigned c = first; c <= last && c < cpu; c++)
            if (CPU_ISSET(c, ours))
                return true;
        if (fgetc(f) != ',')
            break;
    }
    return false;
}

static unsigned cores_of_ours(void)
{
    cpu_set_t ours;
    if (sched_getaffinity(0, sizeof ours, &ours) < 0) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        return n > 0 ? (unsigned)n : 1;
    }
    unsigned cores = 0;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &ours) && !core_counted(cpu, &ours))
            cores++;
    return cores ? cores : 1;
}

unsigned cores_usable(const struct cgroup *group)
{
    unsigned cores = cores_of_ours();
    return group->processors && group->processors < cores ? group->processors : cores;
}
