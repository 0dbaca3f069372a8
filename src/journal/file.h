/*
 * file.h - the activity log on disk: appended to, rotated, and found again.
 *
 *     DIR/inferd.ndjson  <--  lines
 *     DIR/inferd.ndjson.1 .. .3, older ones; the oldest goes
 *
 * A plain blocking module: it runs where waiting for a disk harms nobody.  The directory is
 * made when it is missing, whenever that is; one that was moved away or replaced is noticed
 * before the next write.  Files are 0600, a directory made here 0700.  Neither is followed
 * through a symbolic link, and neither may belong to anybody else.
 */
#pragma once

#include <sys/types.h>

#include "base/file.h"

enum {
    LOG_FILE_BYTES_MAX = 16 * 1024 * 1024, /* a write that would pass it rotates first */
    LOG_GENERATIONS = 3,                   /* kept beside the live file */
};

#define LOG_FILE_NAME "inferd.ndjson"

struct log_file {
    char *path; /* of the directory; owned */
    int dir;    /* -1: not open */
    int fd;     /* likewise */
};

/* Touches nothing on disk.  Copies `directory`. */
enum err log_file_init(struct log_file *f, const char *directory, struct error *error) MUST_USE;
void log_file_done(struct log_file *f);

/*
 * Append whole lines, rotating where it is time; a line beyond the limit gets a file of its
 * own.  `*ret_written` is how many bytes, always whole lines, are on disk; on failure too,
 * and the rest is the caller's to try again.
 *
 * ERR_SYSTEM  the disk is full, the directory can't be made, ...
 * ERR_CONFIG  what lies there is not ours to write to
 */
enum err log_file_append(struct log_file *f, const char *lines, size_t len, size_t *ret_written,
                         struct error *error) MUST_USE;
