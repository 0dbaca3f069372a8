/*
 * cgroup.h - what a container, or a service's settings, leave of the machine.
 *
 * A control group (version 2) may limit memory and processors, and so may each one
 * that it lies in.  The kernel enforces that silently: who takes all the machine shows is
 * killed, or stands still most of the time.
 */
#pragma once

#include <stdint.h>

struct cgroup {
    uint64_t memory_left; /* bytes that may still be taken; UINT64_MAX: no limit */
    unsigned processors;  /* as many as its time is worth, rounded up; 0: no limit */
};

/* That of this process.  `root` is "" but for tests; without control groups there are
 * no limits. */
struct cgroup cgroup_read(const char *root);
