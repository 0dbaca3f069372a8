/*
 * worker.h - an engine process's end of the engine protocol.
 *
 * Every engine is one of these: a process that the daemon started with its end of
 * a socket on descriptor 3, and perhaps a model file on descriptor 4.
 *
 *     struct worker *w;
 *     worker_open("inferd-engine-mock", &w, &error);
 *     while ((e = worker_next(w, timeout, &order, &error)) != ERR_CLOSED)
 *         ...
 *     worker_tell(w, &event);    as often as there is news
 *     worker_flush(w, &error);   once per step: one write
 *
 * worker_next() answers `ping` and `verify` by itself; the engine never sees them.
 *
 * Threads: one calls worker_next() (an engine that computes for long lets an inbox
 * do it, see inbox.h), one calls worker_tell() and worker_flush(); they may be the
 * same.  worker_finish_now(), worker_progress(), worker_busy() and worker_usage() are for
 * any thread.
 */
#pragma once

#include "proto/engine.h"

struct worker;

/*
 * Take over descriptor 3 and tie this process's life to the daemon's: it dies with
 * its parent.  Nor does it leave a core file, which would hold prompts, or end at a
 * Ctrl-C in the daemon's terminal.  `name` stands before lines on standard error and
 * is kept.
 *
 * ERR_CONFIG  descriptor 3 is no socket: somebody started the program by hand
 * ERR_CLOSED  the daemon is gone already; leave
 */
enum err worker_open(const char *name, struct worker **ret, struct error *error) MUST_USE;
void worker_free(struct worker *w);

/*
 * The exit code for an engine that leaves because a function of this header said `e`:
 * 0 if the daemon is gone, 2 if it never was there, 4 if there was no memory; else 3,
 * after the sentence was told on standard error.
 */
int worker_leave(enum err e, const struct error *error) MUST_USE;

/*
 * The next order, waiting for it up to `timeout_ms` (0: only look; -1: as long as it
 * takes).  The caller ends it with order_done().  Nothing is sent here but answers to
 * `ping` and `verify`, so flush before waiting.
 *
 * ERR_AGAIN     nothing came in time
 * ERR_CLOSED    the daemon is gone; leave
 * ERR_PROTOCOL  the daemon sent what is none; leave (so with any other error)
 */
enum err worker_next(struct worker *w, int timeout_ms, struct order *ret,
                     struct error *error) MUST_USE;

/* Has more come already than was handed out?  Then flushing can wait for what that
 * leads to.  But ask for it without waiting: it may be what worker_next() answers by
 * itself. */
bool worker_waiting(const struct worker *w);

/* Put an event in the outgoing buffer.  A failure (no memory) is remembered and
 * told by worker_flush(), so that the caller need not check each time. */
void worker_tell(struct worker *w, const struct event *event);

/* Shorthands for the commonest news. */
void worker_text(struct worker *w, uint64_t serial, enum text_kind kind, struct slice text);
void worker_finish(struct worker *w, uint64_t serial, const struct outcome *outcome);
void worker_refuse(struct worker *w, uint64_t serial, enum err code, const char *fmt, ...)
    PRINTF(4, 5);

/* The end of a request about which nothing was told before, past all that waits for a flush:
 * sent at once, from any thread.  A failure is found by the next flush. */
void worker_finish_now(struct worker *w, uint64_t serial, const struct outcome *outcome);

/* Bytes that were told and not sent, for those who cut their steps by size. */
size_t worker_unsent(const struct worker *w);

/* Send what was told since the last time, in one write.  The daemon always reads,
 * so this does not wait for long.  ERR_CLOSED: the daemon is gone; leave. */
enum err worker_flush(struct worker *w, struct error *error) MUST_USE;

/* A sign of work: a step done, a part loaded.  The daemon kills an engine that is
 * busy and shows none for a minute. */
void worker_progress(struct worker *w);
void worker_busy(struct worker *w, bool busy);

/* How full the context is, and how much of what was read came from it.  Cheap, so call it
 * with every step: what has changed is told together with the next pong, every two seconds
 * at the most. */
void worker_usage(struct worker *w, const struct usage *usage);
