/*
 * cpu.h - which of ggml's CPU variants this machine runs.
 *
 * A build has one module per kind of CPU, libggml-cpu-VARIANT.so.  Each scores
 * itself by what the CPU says it can; the best that survives a probe (probe.h) is
 * chosen, and the choice is remembered in the cache directory for as long as CPU,
 * kernel and modules stay the same.
 */
#pragma once

#include <limits.h>

#include "probe.h"
#include "proto/engine.h"

struct cpu_choice {
    char variant[64];
    char path[PATH_MAX];
};

/*
 * Choose among the modules in `directory`.  Uses `load`'s `avoid` and `cache_dir`;
 * nothing of any module runs in this process.  There must be no threads yet.
 *
 * ERR_CONFIG  none is left; the sentence names all and why not
 */
enum err cpu_choose(const char *directory, const struct load *load, const struct tending *tending,
                    struct cpu_choice *ret, struct error *error) MUST_USE;
