/*
 * reply.h - the tokens of an answer, as text to be told.
 *
 *     token -> bytes -> whole characters --> thinking ----------------> told
 *                                        \-> answer -> stop strings -> told
 *
 * One for each request.  It says when the text itself ends the answer; what tokens mean
 * beyond their text is the slot's business.
 */
#pragma once

#include <llama.h>

#include "output.h"
#include "proto/request.h"
#include "separate.h"
#include "stop.h"

/* What is to be told now, by kind; in this order: thinking, answer. */
struct told {
    struct buf thinking;
    struct buf answer;
};

void told_init(struct told *t);
void told_clear(struct told *t);
void told_done(struct told *t);

struct reply {
    const struct chat *chat; /* borrowed */
    struct output output;
    struct separator *separator; /* owned; NULL: all is the answer */
    struct stop *stop;           /* owned; NULL: none */
    struct buf fresh;            /* the token's characters */
    struct buf said;             /* of the answer, not looked through for stop strings yet */
    size_t bytes;                /* of all text, told or held back */
};

/* Nothing of `g` is kept. */
enum err reply_init(struct reply *r, const struct chat *chat, const struct generate *g,
                    struct error *error) MUST_USE;
void reply_done(struct reply *r);

enum reply_news {
    REPLY_GOES_ON,
    REPLY_STOPPED, /* a stop string came; nothing of it is told */
    REPLY_FULL,    /* the token's text would be more than ANSWER_BYTES_MAX */
};

/* The next token: what may be told by now is appended to `told`. */
enum err reply_add(struct reply *r, const struct llama_vocab *vocab, llama_token token,
                   struct told *told, enum reply_news *ret, struct error *error) MUST_USE;

/* There are no more tokens: what was held back is appended. */
enum err reply_end(struct reply *r, struct told *told, struct error *error) MUST_USE;
