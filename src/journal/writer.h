/*
 * writer.h - lines on their way to the disk, without anybody waiting for it.
 *
 *     record --> pending --(one job on the pool: redact, append)--> DIR/inferd.ndjson
 *
 * The loop only ever copies a line into memory.  One job at a time takes what has gathered;
 * meanwhile the next lines gather.  Memory is bounded: lines beyond WRITER_BYTES_MAX are
 * counted, not kept, and the log says how many are missing as soon as it can.
 *
 * A disk that says no is tried again every second; the person who runs the daemon is told
 * once, and once more when it has recovered.
 */
#pragma once

#include <uv.h>

#include "journal/record.h"

enum { WRITER_BYTES_MAX = 4 * 1024 * 1024 };

struct writer;

/* Nothing is touched on disk before the first line.  `loop` is borrowed. */
enum err writer_new(uv_loop_t *loop, const char *directory, struct writer **ret,
                    struct error *error) MUST_USE;

/* Stamp a record with the time and queue it. */
void writer_add(struct writer *w, struct record *r);

/* Is the log being written?  False from a failed write until one succeeds. */
bool writer_works(const struct writer *w);

/* Lines that never came to the disk because there was no room for them. */
uint64_t writer_lost(const struct writer *w);

/*
 * Write what is queued and take no more.  The loop stays alive for as long as a write is
 * under way; `stuck` is called if that takes longer than `within_ms`: then nothing but the
 * end of the process helps.
 */
void writer_close(struct writer *w, uint64_t within_ms, void (*stuck)(void *owner), void *owner);

/* After the loop has ended, closed or never used.  NULL is fine. */
void writer_free(struct writer *w);
