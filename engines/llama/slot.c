/*
 * slot.c - counting: tokens, bytes, time.
 *
 * prompt + completion never exceed the model's n_ctx: the last token of an answer
 * that fills the context is told but needs no place in the cache any more.
 */
#include "slot.h"

#include "base/clock.h"

enum { PIECE_BYTES = 256 }; /* longer ones are rare */

static double ms(int64_t from_us, int64_t to_us)
{
    return (double)(to_us - from_us) / 1000;
}

void slot_begin(struct slot *s, struct job *job)
{
    llama_seq_id seq = s->seq;
    *s = (struct slot){ .seq = seq, .job = job, .logits_at = -1, .started_us = clock_us() };
    s->outcome.prompt_tokens = job->n_prompt;
}

static void put(struct llama_batch *batch, llama_token token, uint32_t at, llama_seq_id seq,
                bool sample)
{
    int32_t i = batch->n_tokens++;
    batch->token[i] = token;
    batch->pos[i] = (llama_pos)at;
    batch->n_seq_id[i] = 1;
    batch->seq_id[i][0] = seq;
    batch->logits[i] = sample;
}

uint32_t slot_offer(struct slot *s, struct llama_batch *batch, uint32_t most)
{
    s->logits_at = -1;
    if (most == 0)
        return 0;
    if (!slot_reading(s)) {
        s->logits_at = batch->n_tokens;
        put(batch, s->next, s->n_decoded++, s->seq, true);
        return 1;
    }
    uint32_t left = (uint32_t)s->job->n_prompt - s->n_decoded;
    uint32_t n = left < most ? left : most;
    for (uint32_t i = 0; i < n; i++)
        put(batch, s->job->prompt[s->n_decoded + i], s->n_decoded + i, s->seq, i + 1 == left);
    if (n == left)
        s->logits_at = batch->n_tokens - 1;
    s->n_decoded += n;
    return n;
}

/* The bytes of a token through the filter. */
static enum err add_piece(struct slot *s, const struct llama_vocab *vocab, llama_token token,
                          struct buf *text, struct error *error)
{
    char piece[PIECE_BYTES];
    CLEANUP(free_ptr) char *longer = NULL;
    char *bytes = piece;
    int32_t n = llama_token_to_piece(vocab, token, piece, sizeof piece, 0, false);
    if (n < 0) {
        bytes = longer = malloc((size_t) - (int64_t)n);
        if (!longer)
            return fail_nomem(error);
        n = llama_token_to_piece(vocab, token, longer, -n, 0, false);
    }
    if (n > 0 && output_add(&s->output, bytes, (size_t)n, text) != OK)
        return fail_nomem(error);
    return OK;
}

static void note_time(struct slot *s)
{
    s->last_token_us = clock_us();
    if (s->first_token_us)
        return;
    s->first_token_us = s->last_token_us;
    s->outcome.first_token_ms = ms(s->started_us, s->first_token_us);
}

enum err slot_take(struct slot *s, const struct model *model, llama_token token, struct buf *text,
                   enum slot_news *ret, struct error *error)
{
    *ret = SLOT_ENDED;
    if (llama_vocab_is_eog(model->vocab, token)) {
        slot_stop(s, STOP_END);
        return OK;
    }
    note_time(s);
    s->outcome.completion_tokens++;
    enum err e = add_piece(s, model->vocab, token, text, error);
    if (e)
        return e;
    s->answer_bytes += text->len;
    if (s->answer_bytes > ANSWER_BYTES_MAX) {
        buf_clear(text);
        slot_stop(s, STOP_LENGTH);
    } else if (s->outcome.completion_tokens >= s->job->max_tokens ||
               s->outcome.prompt_tokens + s->outcome.completion_tokens >= model->n_ctx) {
        slot_stop(s, STOP_LENGTH);
    } else {
        s->next = token;
        *ret = SLOT_GOES_ON;
    }
    return OK;
}

void slot_stop(struct slot *s, enum stop_reason stop)
{
    s->outcome.stop = stop;
    if (s->first_token_us)
        s->outcome.generate_ms = ms(s->first_token_us, s->last_token_us);
}

void slot_end(struct slot *s)
{
    job_free(s->job);
    s->job = NULL;
}
