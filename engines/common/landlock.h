/*
 * landlock.h - the kernel's Landlock, by its system calls.
 *
 * Landlock takes rights away from a thread and from what it starts, for good.  Headers
 * of distributions are older than the kernels they run on, so what is used of it is
 * written down here.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

/* What stays allowed; all else that Landlock knows is not. */
struct landlock_grants {
    const char *const *readable; /* directories, NULL ends; NULL: none.  Missing ones are fine */
    const char *const *devices;  /* likewise; to be written to and controlled, too */
    const uint16_t *ports;       /* of TCP, to connect to */
    size_t n_ports;
};

/* The version of Landlock that this kernel has turned on; 0: none. */
int landlock_version(void);

/*
 * Restrict this thread, and those that it will start, to `grants`, as far as
 * `version` goes.  no_new_privs is set already.
 *
 * ERR_SYSTEM  the kernel said no; nothing has changed
 */
enum err landlock_restrict(int version, const struct landlock_grants *grants,
                           struct error *error) MUST_USE;
