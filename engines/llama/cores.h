/*
 * cores.h - how many threads are worth having.
 */
#pragma once

#include "cgroup.h"

/* Physical cores among the processors that this process may run on, no more than its
 * control group's time is worth; at least 1.  Two threads of one core share the units
 * that multiply, so the second only adds waiting. */
unsigned cores_usable(const struct cgroup *group);
