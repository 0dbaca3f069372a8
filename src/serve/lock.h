/*
 * lock.h - one daemon per runtime directory.
 *
 * The lock is an flock() on a file that is never written and never removed: it ends
 * with the process, however that ends.
 */
#pragma once

#include "base/error.h"

/*
 * Make `path` if need be and lock it.  The descriptor holds the lock; it is not
 * inherited by children, so an orphan can't keep it.
 *
 * ERR_BUSY    another daemon has it
 * ERR_CONFIG  the path is a symbolic link or no regular file
 * ERR_SYSTEM
 */
enum err lock_acquire(const char *path, int *ret_fd, struct error *error) MUST_USE;
