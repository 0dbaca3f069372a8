/*
 * flusher.h - a thread that brings the download to the disk, now and then.
 *
 * Flushing takes as long as the disk does; the network need not wait for it.  While one
 * flush is under way, flusher_want() remembers only the newest wish.
 */
#pragma once

#include "journal.h"

struct flusher;

/* `data_fd` and `journal` are borrowed and must outlive it.  From here on only the
 * flusher calls journal_mark_flushed(). */
enum err flusher_new(int data_fd, struct journal *journal, struct flusher **ret,
                     struct error *error) MUST_USE;

/* Lets a flush that is under way end, and the thread.  NULL is fine. */
void flusher_free(struct flusher *f);

/* Flush the data, then note that these bytes, all written by now, are flushed.  Says
 * what an earlier flush failed with. */
enum err flusher_want(struct flusher *f, const struct spans *written, struct error *error) MUST_USE;

/* Wait until all that was wanted is done.  Before the journal begins anew, and before the
 * end. */
enum err flusher_rest(struct flusher *f, struct error *error) MUST_USE;
