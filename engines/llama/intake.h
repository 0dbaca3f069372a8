/*
 * intake.h - orders, made ready to be computed.
 *
 * Between the inbox and the scheduler stands a thread that turns the messages of a
 * request into tokens and its grammar into a sampler, while the scheduler goes on
 * computing.  Orders leave it in the order they came in, so a cancellation finds the
 * request it is for.
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
};

void job_free(struct job *job);

/* Start the thread; all are borrowed for the life of the process.  From now on the
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
