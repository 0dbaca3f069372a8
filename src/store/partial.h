/*
 * partial.h - a blob in the making: kept across runs, locked while somebody writes it.
 *
 *     e = partial_open(&p, &store, &digest, false, error);
 *     ... write to p.fd, and what to remember of it to PARTIAL_JOURNAL in p.dir_fd ...
 *     e = equal ? partial_publish(&p, error)
 *               : partial_quarantine(&p, "sha-mismatch", path, error);
 *     partial_done(&p);
 *
 * The lock is on data.tmp itself, because partials are named by digest and two names may
 * want the same one.  Nothing here looks at the bytes or knows what a journal says; who
 * publishes has hashed.
 *
 * A program that knows no journal (the reference) may have truncated and rewritten
 * data.tmp since the journal was written; so a journal is a hint, and the digest decides.
 */
#pragma once

#include "store/store.h"

#define PARTIAL_JOURNAL "journal"
#define PARTIAL_JOURNAL_DRAFT                                                                      \
    "journal.tmp" /* to be renamed over it, if that is how it is written */

struct partial {
    const struct store *store; /* borrowed */
    struct digest digest;
    int dir_fd; /* blobs/sha256/aa/.partial-<64 hex> */
    int fd;     /* its data.tmp, for reading and writing; holds the lock */
    bool fresh; /* data.tmp was made by this call; an old journal was removed */
};

/*
 * Open the partial of a digest, or make it.  Needs store_begin_write().  `*p` keeps
 * `store` and is to be ended with partial_done() after OK.
 *
 * ERR_BUSY    another process writes it: `the download of sha256:... is held by another
 *             process` (not with `wait`)
 * ERR_CONFIG  a symbolic link or no regular file is in its place
 * ERR_SYSTEM  also when a signal ended the wait
 */
enum err partial_open(struct partial *p, const struct store *s, const struct digest *d, bool wait,
                      struct error *error) MUST_USE;

/* Let go; the files stay for the next run (or for gc). */
void partial_done(struct partial *p);

/*
 * The bytes are right: flush them, give them the blob's name, remove the partial's
 * directory with all that is in it, flush the directories.  Replaces a blob that is there.
 * `p->fd` stays open and is the blob.  On failure nothing wrong has the final name; the
 * message begins with "finalise".
 */
enum err partial_publish(struct partial *p, struct error *error) MUST_USE;

/* The bytes are wrong: move them as store_blob_quarantine() does and remove the rest. */
enum err partial_quarantine(struct partial *p, const char *reason, char *ret_path,
                            struct error *error) MUST_USE;

/* Remove it all. */
enum err partial_discard(struct partial *p, struct error *error) MUST_USE;
