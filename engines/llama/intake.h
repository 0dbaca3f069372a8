/*
 * intake.h - orders, made ready to be computed.
 *
 * Between the inbox and the scheduler, requests become tokens and samplers while the
 * scheduler goes on computing:
 *
 *               +-- short --+
 *     inbox --> |           | --> ready --> scheduler
 *               +-- long ---+
 *
 * Reading a text of megabytes can take seconds, so there are two lanes: short requests
 * overtake long ones, whoever sent those.  Within a lane the order stays.  A cancellation
 * overtakes everything: a request that is not ready ends at once, and the scheduler never
 * hears of it.  Other orders about a request wait for it.
 */
#pragma once

#include "inbox.h"
#include "model.h"
#include "reply.h"
#include "sampler.h"

struct intake;

/* An order, ready.  The taker owns it: job_free(). */
struct job {
    struct job *next;
    enum order_kind kind;
    uint64_t serial;

    /* GENERATE: `error.code` says whether the rest is there. */
    struct error error;
    llama_token *prompt; /* owned */
    size_t n_prompt;
    struct sampler *sampler; /* owned */
    struct reply reply;
    uint32_t max_tokens;
    struct asker asker;
    bool paused; /* the scheduler's: it waits, and shall not say anything yet */
};

void job_free(struct job *job);

/* Start the threads; all are borrowed for the life of the process.  From now on the
 * worker is busy while the intake has something to do. */
enum err intake_start(struct worker *w, struct inbox *inbox, const struct model *model,
                      struct intake **ret, struct error *error) MUST_USE;

/* All that is ready, oldest first, as a chain; with `wait` there is at least one, and
 * the worker is not busy until there is. */
struct job *intake_take(struct intake *intake, bool wait);

/* For who computes meanwhile: how many cancellations came so far, cheaply; and is there
 * one for `serial` among what is ready? */
unsigned intake_cancel_count(struct intake *intake);
bool intake_cancels(struct intake *intake, uint64_t serial);
