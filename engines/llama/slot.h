/*
 * slot.h - one request while it is computed.
 *
 *     FREE ---> READING ---> WRITING ---> FREE
 *
 *   FREE     on no list; its stream of the KV cache is empty
 *   READING  on `running`; some of the prompt is still to be decoded
 *   WRITING  on `running`; `next` is sampled and told, but not decoded
 *
 * A slot does no computing: it says which tokens it wants decoded, and takes what
 * came of them.
 */
#pragma once

#include "base/list.h"
#include "intake.h"

struct slot {
    struct link link; /* on the scheduler's `running`, oldest first, unless FREE */
    llama_seq_id seq; /* its stream; the slot's own number */
    struct job *job;  /* owned; NULL while FREE */
    bool paused;

    uint32_t n_decoded; /* tokens in the stream */
    llama_token next;   /* WRITING */
    int32_t logits_at;  /* where in this step's batch; -1: nothing to sample */

    struct outcome outcome; /* counts tokens as they come */
    int64_t started_us;
    int64_t first_token_us;
    int64_t last_token_us;
};

static inline bool slot_reading(const struct slot *s)
{
    return s->n_decoded < s->job->n_prompt;
}

/* Takes `job`, a GENERATE without an error. */
void slot_begin(struct slot *s, struct job *job);

/* Add up to `most` tokens to `batch`; how many. */
uint32_t slot_offer(struct slot *s, struct llama_batch *batch, uint32_t most);

enum slot_news {
    SLOT_GOES_ON,
    SLOT_ENDED, /* `outcome` is complete */
};

/* What a sampled token means.  What may be told by now is added to `told`. */
enum err slot_take(struct slot *s, const struct model *model, llama_token token, struct told *told,
                   enum slot_news *ret, struct error *error) MUST_USE;

/* The end, whoever wants it. */
void slot_stop(struct slot *s, enum stop_reason stop);

/* Back to FREE; the caller empties its stream. */
void slot_end(struct slot *s);
