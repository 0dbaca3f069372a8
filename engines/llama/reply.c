/*
 * reply.c - see reply.h.
 */
#include "reply.h"

enum {
    PIECE_BYTES = 256,               /* longer ones are rare */
    TOLD_MAX = 2 * ANSWER_BYTES_MAX, /* of one token; never reached */
};

void told_init(struct told *t)
{
    buf_init(&t->thinking, TOLD_MAX);
    buf_init(&t->answer, TOLD_MAX);
}

void told_clear(struct told *t)
{
    buf_clear(&t->thinking);
    buf_clear(&t->answer);
}

void told_done(struct told *t)
{
    buf_done(&t->thinking);
    buf_done(&t->answer);
}

enum err reply_init(struct reply *r, const struct generate *g, struct error *error)
{
    *r = (struct reply){ .bytes = 0 };
    output_init(&r->output);
    return stop_new(g->stop, g->n_stop, &r->stop) ? fail_nomem(error) : OK;
}

void reply_done(struct reply *r)
{
    stop_free(r->stop);
    r->stop = NULL;
}

/* The bytes of a token through the filter. */
static enum err add_piece(struct reply *r, const struct llama_vocab *vocab, llama_token token,
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
    if (n > 0 && output_add(&r->output, bytes, (size_t)n, text) != OK)
        return fail_nomem(error);
    return OK;
}

enum err reply_add(struct reply *r, const struct llama_vocab *vocab, llama_token token,
                   struct told *told, enum reply_news *ret, struct error *error)
{
    struct buf *text = &told->answer;
    size_t before = text->len;
    bool stopped = false;
    *ret = REPLY_GOES_ON;
    enum err e = add_piece(r, vocab, token, text, error);
    if (e)
        return e;
    r->bytes += text->len - before;
    if (r->bytes > ANSWER_BYTES_MAX) {
        text->len = before;
        *ret = REPLY_FULL;
        return reply_end(r, told, error);
    }
    if (stop_filter(r->stop, text, &stopped))
        return fail_nomem(error);
    if (stopped)
        *ret = REPLY_STOPPED;
    return OK;
}

enum err reply_end(struct reply *r, struct told *told, struct error *error)
{
    return stop_rest(r->stop, &told->answer) ? fail_nomem(error) : OK;
}
