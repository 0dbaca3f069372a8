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

enum err reply_init(struct reply *r, const struct chat *chat, const struct generate *g,
                    struct error *error)
{
    *r = (struct reply){ .chat = chat };
    output_init(&r->output);
    buf_init(&r->fresh, TOLD_MAX);
    buf_init(&r->said, TOLD_MAX);
    enum err e = stop_new(g->stop, g->n_stop, &r->stop);
    if (!e)
        e = separator_new(chat, &r->separator);
    return e ? fail_nomem(error) : OK;
}

void reply_done(struct reply *r)
{
    stop_free(r->stop);
    separator_free(r->separator);
    buf_done(&r->fresh);
    buf_done(&r->said);
    *r = (struct reply){ .bytes = 0 };
}

/* The characters that the bytes of a token complete. */
static enum err add_piece(struct reply *r, const struct llama_vocab *vocab, llama_token token)
{
    char piece[PIECE_BYTES];
    CLEANUP(free_ptr) char *longer = NULL;
    char *bytes = piece;
    bool special = r->separator && chat_is_marker(r->chat, token);
    int32_t n = llama_token_to_piece(vocab, token, piece, sizeof piece, 0, special);
    if (n < 0) {
        bytes = longer = malloc((size_t) - (int64_t)n);
        if (!longer)
            return ERR_NO_MEMORY;
        n = llama_token_to_piece(vocab, token, longer, -n, 0, special);
    }
    buf_clear(&r->fresh);
    return n > 0 ? output_add(&r->output, bytes, (size_t)n, &r->fresh) : OK;
}

/* The characters, to where they belong. */
static enum err separate(struct reply *r, struct told *told)
{
    buf_clear(&r->said);
    if (!r->separator)
        return buf_append(&r->said, r->fresh.at, r->fresh.len);
    return separator_add(r->separator, (struct slice){ r->fresh.at, r->fresh.len }, &told->thinking,
                         &r->said);
}

/* What was said of the answer, as far as no stop string is in it. */
static enum err tell_answer(struct reply *r, struct told *told, bool *ret_stopped)
{
    enum err e = stop_filter(r->stop, &r->said, ret_stopped);
    return e ? e : buf_append(&told->answer, r->said.at, r->said.len);
}

enum err reply_add(struct reply *r, const struct llama_vocab *vocab, llama_token token,
                   struct told *told, enum reply_news *ret, struct error *error)
{
    bool stopped = false;
    *ret = REPLY_GOES_ON;
    if (add_piece(r, vocab, token))
        return fail_nomem(error);
    r->bytes += r->fresh.len;
    if (r->bytes > ANSWER_BYTES_MAX) {
        *ret = REPLY_FULL;
        return reply_end(r, told, error);
    }
    enum err e = separate(r, told);
    if (!e)
        e = tell_answer(r, told, &stopped);
    if (e)
        return fail_nomem(error);
    if (stopped)
        *ret = REPLY_STOPPED;
    return OK;
}

enum err reply_end(struct reply *r, struct told *told, struct error *error)
{
    bool stopped = false;
    buf_clear(&r->said);
    enum err e = separator_end(r->separator, &told->thinking, &r->said);
    if (!e)
        e = tell_answer(r, told, &stopped);
    if (!e && !stopped)
        e = stop_rest(r->stop, &told->answer);
    return e ? fail_nomem(error) : OK;
}
