/*
 * sampler.h - from the model's numbers to a token, as one request wants it.
 *
 *     grammar -> top_k -> top_p -> temperature -> draw        temperature 0: the best
 */
#pragma once

#include <llama.h>

#include "proto/request.h"

struct sampler;

/*
 * `vocab` is borrowed; nothing of `g` is.
 *
 * ERR_INVALID_REQUEST  the grammar is too large, or none
 */
enum err sampler_new(const struct llama_vocab *vocab, const struct generate *g,
                     struct sampler **ret, struct error *error) MUST_USE;
void sampler_free(struct sampler *s);

/*
 * The next token.  `scratch` has room for the whole vocabulary and may be shared by
 * all samplers of a thread.
 *
 * ERR_INVALID_REQUEST  the grammar allows none of the model's tokens here
 * ERR_INTERNAL         the model computed what is no number
 */
enum err sampler_next(struct sampler *s, const float *logits, llama_token_data *scratch,
                      llama_token *ret, struct error *error) MUST_USE;
