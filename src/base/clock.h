/*
 * clock.h - time that only goes forward.
 */
#pragma once

#include <stdint.h>
#include <time.h>

/* Microseconds since some fixed moment before this process (CLOCK_MONOTONIC). */
static inline int64_t clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static inline int64_t clock_ms(void)
{
    return clock_us() / 1000;
}
