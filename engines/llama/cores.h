/*
 * cores.h - how many threads are worth having.
 */
#pragma once

/* Physical cores among the processors that this process may run on; at least 1.
 * Two threads of one core share the units that multiply, so the second only adds
 * waiting. */
unsigned cores_usable(void);
