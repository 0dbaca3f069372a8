/*
 * slot.c - counting: tokens, bytes, time.
 *
 * prompt + completion never exceed the model's n_ctx: the last token of an answer
 * that fills the context is told but needs no place in the cache any more.
 */
#include "slot.h"

#include <string.h>

#include "base/clock.h"

static double ms(int64_t from_us, int64_t to_us)
{
    return (double)(to_us - from_us) / 1000;
}

void slot_begin(struct slot *s, struct job *job, uint32_t n_cached)
{
    *s = (struct slot){
        .seq = s->seq,
        .job = job,
        .asker = job->asker,
        .tokens = s->tokens,
        .n_tokens = (uint32_t)job->n_prompt,
        .logits_at = -1,
        .started_us = clock_us(),
    };
    memcpy(s->tokens, job->prompt, job->n_prompt * sizeof *s->tokens);
    s->outcome.prompt_tokens = job->n_prompt;
    slot_found(s, n_cached);
}

void slot_found(struct slot *s, uint32_t n_cached)
{
    s->n_decoded = n_cached;
    if (!s->told)
        s->outcome.cached_tokens = n_cached;
}

void slot_set_aside(struct slot *s, uint64_t pass)
{
    s->n_decoded = s->n_offered = 0;
    s->begun = false;
    s->aside = true;
    s->aside_pass = pass;
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

void slot_offer(struct slot *s, struct llama_batch *batch, uint32_t n)
{
    s->n_offered = n;
    for (uint32_t at = s->n_decoded; at < s->n_decoded + n; at++)
        put(batch, s->tokens[at], at, s->seq, s->job && at + 1 == s->n_tokens);
    s->logits_at = s->job && n == slot_left(s) ? batch->n_tokens - 1 : -1;
}

void slot_decoded(struct slot *s)
{
    s->n_decoded += s->n_offered;
    s->n_offered = 0;
    s->begun = s->told = true;
    s->aside = false;
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
    if (s->n_tokens < model->n_ctx)
        s->tokens[s->n_tokens++] = token;
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
    if (*ret == SLOT_ENDED && reply == REPLY_GOES_ON)
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
    s->used_us = clock_us();
}
