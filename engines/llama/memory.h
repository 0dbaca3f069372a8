/*
 * memory.h - how much memory there is for a model.
 */
#pragma once

#include <stdint.h>

#include "cgroup.h"

struct memory {
    uint64_t available;      /* bytes, without others having to swap; UINT64_MAX: unknown */
    const char *of;          /* whose limit that is, for people: "this machine" */
    uint64_t of_the_process; /* that are not a file's; UINT64_MAX: no limit */
};

/* Reads files of the system: to be called outside of a sandbox.  `root` is "" but for
 * tests. */
struct memory memory_read(const char *root, const struct cgroup *group);
