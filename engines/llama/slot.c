/*
 * slot.c - counting: tokens, bytes, time.
 *
 * prompt + completion never exceed the model's n_ctx: the last token of an answer
 * that fills the context is told but needs no place in the cache any more.
 */
#include "slot.h"

#include "base/clock.h"

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

static void note_time(struct slot *s)
{
    s->last_token_us = clock_us();
    if (s->first_token_us)
        return;
    s->first_token_us = s->last_token_us;
    s->outcome.first_token_ms = ms(s->started_us, s->first_token_us);
}

/* Why the answer ends with this token, if it does. */
static enum slot_news ends(struct slot *s, const struct model *model, enum reply_news reply)
{
    bool full = s->outcome.completion_tokens >= s->job->max_tokens ||
                s->outcome.prompt_tokens + s->outcome.completion_tokens >= model->n_ctx;
    if (reply == REPLY_STOPPED)
        slot_stop(s, STOP_END);
    else if (reply == REPLY_FULL || full)
        slot_stop(s, STOP_LENGTH);
    else
        return SLOT_GOES_ON;
    return SLOT_ENDED;
}

enum err slot_take(struct slot *s, const struct model *model, llama_token token, struct told *told,
                   enum slot_news *ret, struct error *error)
{
    *ret = SLOT_ENDED;
    if (llama_vocab_is_eog(model->vocab, token)) {
        slot_stop(s, STOP_END);
        return reply_end(&s->job->reply, told, error);
    }
    note_time(s);
    s->outcome.completion_tokens++;
    enum reply_news reply;
    enum err e = reply_add(&s->job->reply, model->vocab, token, told, &reply, error);
    if (e)
        return e;
    *ret = ends(s, model, reply);
    if (*ret == SLOT_GOES_ON)
        s->next = token;
    else if (reply == REPLY_GOES_ON)
        e = reply_end(&s->job->reply, told, error);
    return e;
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
