/*
 * slot.h - one request while it is computed, and its sequence afterwards.
 *
 *     FREE ---> READING <---> WRITING ---> FREE
 *
 *   FREE     on no list; what its last request left in the cache is there to be used again
 *   READING  on `running`; more is known of its sequence than was decoded
 *   WRITING  on `running`; all but the last token was decoded, and that is a sampled one
 *
 * What a slot knows of its sequence, prompt and answer, is in `tokens`; how much of it is in
 * the cache, in `n_decoded`.  So a sequence that lost its place in the cache is read again
 * like a prompt, and nobody but the clock notices.
 *
 * A slot does no computing: it says which tokens it wants decoded, and takes what
 * came of them.
 */
#pragma once

#include "base/list.h"
#include "intake.h"

struct slot {
    struct link link; /* on the scheduler's `running`, oldest first, unless FREE */
    llama_seq_id seq; /* its place in the cache */
    struct job *job;  /* owned; NULL while FREE */
    bool paused;
    bool begun;          /* some of its sequence was decoded for this request */
    bool aside;          /* it had to leave the cache, and has not begun again */
    uint64_t aside_pass; /* in which pass that was */
    bool told;           /* how much of its prompt needed no work is settled */

    struct asker asker;  /* who asked for what is in `tokens` */
    llama_token *tokens; /* owned; n_ctx of them */
    uint32_t n_tokens;   /* known */
    uint32_t n_decoded;  /* of them in the cache */
    bool reads;          /* in this pass, if there is time */
    uint32_t rest;       /* so few left are read one by one, beside those that write */
    uint32_t n_offered;  /* of them, after those, in this pass's batch */
    uint32_t mark;     /* where to stop, to keep a copy of the sequence as it is then; 0: nowhere */
    int64_t used_us;   /* FREE: since when */
    int32_t logits_at; /* where in this pass's batch; -1: nothing to sample */

    struct outcome outcome; /* counts tokens as they come */
    int64_t started_us;
    int64_t first_token_us;
    int64_t last_token_us;
};

/* How many tokens are to be decoded before the next one can be sampled; at least 1. */
static inline uint32_t slot_left(const struct slot *s)
{
    return s->n_tokens - s->n_decoded;
}

static inline bool slot_reading(const struct slot *s)
{
    return slot_left(s) > 1 || s->outcome.completion_tokens == 0;
}

/* FREE: the last token of its sequence is known, but was not decoded. */
static inline bool slot_trails(const struct slot *s)
{
    return !s->job && s->n_decoded && slot_left(s) == 1;
}

/* Takes `job`, a GENERATE without an error.  The first `n_cached` of its tokens are in the
 * cache already, in the slot's place. */
void slot_begin(struct slot *s, struct job *job, uint32_t n_cached);

/* It was found that so many are. */
void slot_found(struct slot *s, uint32_t n_cached);

/* Add the next `n` of what is left to `batch`. */
void slot_offer(struct slot *s, struct llama_batch *batch, uint32_t n);

/* What it had in the cache is gone; it is to begin again, with all that is known. */
void slot_set_aside(struct slot *s, uint64_t pass);

/* The batch was decoded. */
void slot_decoded(struct slot *s);

enum slot_news {
    SLOT_GOES_ON,
    SLOT_ENDED, /* `outcome` is complete */
};

/* What a sampled token means.  What may be told by now is added to `told`. */
enum err slot_take(struct slot *s, const struct model *model, llama_token token, struct told *told,
                   enum slot_news *ret, struct error *error) MUST_USE;

/* The end, whoever wants it. */
void slot_stop(struct slot *s, enum stop_reason stop);

/* Back to FREE; what was decoded stays in the cache. */
void slot_end(struct slot *s);
