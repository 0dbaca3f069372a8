/*
 * model_file.h - the file that an engine gets, opened anew for each process (a shared
 * descriptor would share its offset), and whether it is the one that was found right.
 */
#pragma once

#include <sys/types.h>
#include <time.h>

#include "base/error.h"

/* What makes a file the same file, as long as nobody writes into it behind our back. */
struct identity {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified;
    struct timespec changed;
};

bool identity_same(const struct identity *a, const struct identity *b);

/* ERR_EXHAUSTED, ERR_SYSTEM; ERR_CONFIG: it is not a regular file */
enum err model_file_open(const char *path, int *ret_fd, struct identity *ret,
                         struct error *error) MUST_USE;
