/*
 * sampler.h - from the model's numbers to a token, as one request wants it.
 *
 *     logit_bias -> penalties -> grammar -> top_k -> top_p -> min_p -> temperature -> draw
 *
 * At temperature 0 the best is taken instead.  Penalties are about the last 64 tokens of
 * the answer.  Whatever is random is the request's own: the same seed and the same numbers
 * give the same tokens, whoever else is being served.
 */
#pragma once

#include <llama.h>

#include "proto/request.h"

struct sampler;

enum { PENALTY_TOKENS = 64 };

/*
 * `vocab` is borrowed; nothing of `g` is.
 *
 * ERR_INVALID_REQUEST  the grammar is none, or one that we can't live with; logit_bias names a token that
 *                      the model does not have
 */
enum err sampler_new(const struct llama_vocab *vocab, const struct generate *g,
                     struct sampler **ret, struct error *error) MUST_USE;
void sampler_free(struct sampler *s);

/*
 * The next token.  `logits` is one number for each of the vocabulary's tokens and is
 * changed.  `scratch` has room for the whole vocabulary and may be shared by all samplers
 * of a thread.
 *
 * ERR_INVALID_REQUEST  the grammar allows none of the model's tokens here, or takes too long
 * ERR_INTERNAL         the model computed what is no number
 */
enum err sampler_next(struct sampler *s, float *logits, llama_token_data *scratch, llama_token *ret,
                      struct error *error) MUST_USE;
