/*
 * journal.h - what a partial file holds, so that the next run can go on with it.
 *
 * One small file beside the data. Its first page says whose bytes these are; the others
 * say which are there, once as written (cheap, after every few writes) and twice as
 * flushed to the disk.  A killed process loses nothing that it wrote: the kernel has it.
 * A machine that lost its power loses what was not flushed; so after a restart of the
 * machine, told by its boot id, only flushed marks count.
 *
 * A journal is a hint.  One that is torn, foreign, or claims more than the data file
 * holds is no journal, and the download starts at its beginning.  The digest decides.
 */
#pragma once

#include "base/error.h"
#include "spans.h"

enum {
    VALIDATOR_MAX = 256, /* an ETag longer than this is none */
    SOURCE_MAX = 512,
};

/* What the bytes are a part of. */
struct identity {
    char source[SOURCE_MAX];           /* the URL as it may be shown */
    char etag[VALIDATOR_MAX];          /* "": the server says none */
    char last_modified[VALIDATOR_MAX]; /* likewise; asked only where there is no ETag */
    uint64_t size;                     /* 0: the server did not say */
};

struct journal {
    int fd; /* owned */
    uint64_t id;
    uint64_t generation; /* of the last flushed marks */
    char boot[40];
};

/* Open or make `name` in `dir_fd`.  ERR_CONFIG if a link is in its place; ERR_SYSTEM. */
enum err journal_open(struct journal *j, int dir_fd, const char *name,
                      struct error *error) MUST_USE;
void journal_close(struct journal *j);

/* What an earlier run has left; false if that is nothing of use.  `data_size` is how long
 * the data file is. */
bool journal_load(struct journal *j, uint64_t data_size, struct identity *ret_identity,
                  struct spans *ret_written);

/* Begin anew: nothing is written of the file that `identity` is. */
enum err journal_begin(struct journal *j, const struct identity *identity,
                       struct error *error) MUST_USE;

/* These bytes were written. */
enum err journal_mark(struct journal *j, const struct spans *written, struct error *error) MUST_USE;

/* These bytes were flushed to the disk; the journal is flushed, too.  Any thread, while
 * another one marks. */
enum err journal_mark_flushed(struct journal *j, const struct spans *flushed,
                              struct error *error) MUST_USE;
