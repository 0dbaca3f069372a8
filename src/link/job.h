/*
 * job.h - one run of a program that does one thing, says how far it is on its standard
 * output, line by line, and ends.
 *
 * What it says on standard error goes to ours.  Its owner hears every line that came
 * before its end, then exactly one `ended`.
 */
#pragma once

#include "base/stream.h"

struct job;

struct job_ops {
    /* A line without its newline, valid during the call and ended by a NUL. */
    void (*line)(void *owner, const char *line, size_t len);

    /* The process is gone: killed by `signal`, or (0) exited with `status`.  The job
     * frees itself after this. */
    void (*ended)(void *owner, int signal, int status);
};

/*
 * Start argv[0] (an absolute path) in "/".  Of our environment it gets what `passed_on`
 * names (ended by NULL).
 *
 * ERR_EXHAUSTED  there are no descriptors, processes or memory for it now
 */
enum err job_start(struct io *io, char **argv, const char *const *passed_on,
                   const struct job_ops *ops, void *owner, struct job **ret,
                   struct error *error) MUST_USE;

/* Tell nobody anything any more and kill it; for an owner that goes away. */
void job_orphan(struct job *j);

int job_pid(const struct job *j);
