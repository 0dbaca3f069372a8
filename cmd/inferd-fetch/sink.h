/*
 * sink.h - the file in the making: its bytes, its journal, its hash, its place on the disk.
 *
 * The transfer says what it has; what has to be done with it, and how often, is in here:
 * data is written at once, noted in the journal every 128 KiB and at the end of each turn of
 * the loop, hashed by one thread up to the first hole, and flushed by another every 8 MiB or
 * 5 seconds.
 */
#pragma once

#include "digester.h"
#include "flusher.h"
#include "store/partial.h"

struct sink {
    struct partial *partial; /* borrowed */
    struct journal journal;
    struct digester *digester;
    struct flusher *flusher;
    struct identity identity; /* of the file that is written; size 0: not known */
    struct spans written;
    bool begun;         /* `identity` is a server's word, of this run or an earlier one */
    bool unsettled;     /* written to since sink_settle() */
    uint64_t unmarked;  /* bytes since the journal was marked */
    uint64_t unflushed; /* bytes since the last flush, which was at: */
    int64_t flushed_ms;
};

/* Open the journal and go on where it says, if it is about `source` or another place with a
 * file of the same size.  End with sink_done(), after failure too. */
enum err sink_open(struct sink *s, struct partial *partial, const char *source,
                   struct error *error) MUST_USE;
void sink_done(struct sink *s);

/* Forget what is there: from here on, the file that `identity` describes. */
enum err sink_begin(struct sink *s, const struct identity *identity, struct error *error) MUST_USE;

/* ERR_NO_SPACE, ERR_SYSTEM: what is there is kept. */
enum err sink_write(struct sink *s, uint64_t at, const void *bytes, size_t n,
                    struct error *error) MUST_USE;

/* Once per turn: mark, hash and flush what came. */
enum err sink_settle(struct sink *s, struct error *error) MUST_USE;

/* Everything to the disk and into the journal, as far as it goes: before the program ends
 * with the file unfinished. */
void sink_keep(struct sink *s);

/* The file is whole at `size` bytes: its digest. */
enum err sink_finish(struct sink *s, uint64_t size, struct digest *ret,
                     struct error *error) MUST_USE;
