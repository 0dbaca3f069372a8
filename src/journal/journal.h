/*
 * journal.h - the activity log: what happened, to whom, and how much of it; never what was
 * said.
 *
 * One function per kind of event, each a line with a name that programs can rely on;
 * docs/log.md is the list for operators.  No message of an error is ever written, since it
 * may quote a client: only its code.  Nothing here waits or fails; see writer.h for what
 * becomes of the lines.
 *
 * A journal that is not open (all zeros, or without a directory) takes every event and
 * writes none.
 */
#pragma once

#include "base/levels.h"
#include "core/report.h"
#include "journal/writer.h"

enum { JOURNAL_KEY_BYTES = 32 };

struct journal {
    struct writer *writer; /* NULL: not open */
    struct levels levels;
    unsigned char key[JOURNAL_KEY_BYTES]; /* what client ids are hashed with */
};

/* `directory` is made when there is something to write. */
enum err journal_open(struct journal *j, uv_loop_t *loop, const char *directory,
                      const struct levels *levels, struct error *error) MUST_USE;

/* As writer_close(): the last event was told. */
void journal_close(struct journal *j, uint64_t within_ms, void (*stuck)(void *owner), void *owner);

/* After the loop has ended. */
void journal_done(struct journal *j);

/* Is the log being written, and how many lines were lost? */
bool journal_works(const struct journal *j);
uint64_t journal_lost(const struct journal *j);

/* --- component "daemon" ------------------------------------------------------ */

/* The first line: daemon_started. */
void journal_started(struct journal *j);

/* The last one: daemon_ended. */
void journal_ended(struct journal *j, int exit_code);

/* state_changed: "ready"; `phase` is NULL where there is none. */
void journal_state(struct journal *j, const char *state, const char *phase);

/* config_reloaded, or config_rejected with the code of its first error. */
void journal_reload(struct journal *j, enum err code);

/* admin_op: somebody used the admin socket to change something. */
void journal_admin_op(struct journal *j, const char *op, uid_t uid, pid_t pid, enum err code);

/* --- component "engine" ------------------------------------------------------ */

/* backend_changed: its new state, and the code of why it is no better (OK: no reason). */
void journal_backend(struct journal *j, const char *backend, const char *kind, const char *state,
                     enum err code);

/* breaker_changed: "open" or "closed" */
void journal_breaker(struct journal *j, const char *backend, const char *kind, const char *state);

/* engine_died: an engine's process has ended, and nobody had asked it to. */
struct engine_death {
    const char *backend;
    const char *kind;
    pid_t pid;
    int signal;              /* that killed it; 0: it exited */
    int status;              /* its exit code */
    const char *phase;       /* what it was doing: "ready", or how far loading was */
    const char *cpu_variant; /* "" or NULL: none */
    size_t lost;             /* requests that ended with it */
};
void journal_engine_died(struct journal *j, const struct engine_death *death);

/* --- component "activity" ---------------------------------------------------- */

/* Who is at the other end, as the kernel attests it. */
struct visitor {
    const char *surface;   /* "v1", "admin" */
    const char *transport; /* "unix", "tcp" */
    uid_t uid;             /* -1, as the next two: nobody attests it */
    gid_t gid;
    pid_t pid;
    const char *exe; /* "" or NULL: not known */
};

/* connection_accepted */
void journal_accepted(struct journal *j, const struct visitor *v);

/* connection_refused; `why` is a word of ours, "not_allowed". */
void journal_refused(struct journal *j, const struct visitor *v, const char *why);

/* request_done, request_failed, request_error_mid_stream, request_abandoned or
 * request_refused. */
void journal_request(struct journal *j, const struct report *r);
