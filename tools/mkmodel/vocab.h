/*
 * vocab.h - the tokenizer of a model in the making.
 *
 * Either one of llama.cpp's vocabulary files, taken over as it is, or the byte
 * vocabulary: one token per byte, so that any text goes in and any bytes can come
 * out, and three control tokens.
 */
#pragma once

#include <gguf.h>
#include <stdbool.h>

#include "base/error.h"

/* The name of the vocabulary that needs no file. */
#define VOCAB_BYTES "bytes"

/* Put vocabulary `name` into `model`; its file, if it has one, is
 * `directory`/ggml-vocab-`name`.gguf. */
enum err vocab_put(struct gguf_context *model, const char *name, const char *directory,
                   struct error *error) MUST_USE;

/* The number of tokens that vocab_put() put there. */
uint32_t vocab_size(const struct gguf_context *model);

/*
 * Put a chat template there: "chatml", "none", or the name of a file that holds
 * one.  NULL keeps the vocabulary's own, and means ChatML if it has none.
 */
enum err vocab_put_template(struct gguf_context *model, const char *which,
                            struct error *error) MUST_USE;

/*
 * Ask libllama which of `n` tokens are no text: those that end an answer and all
 * other control tokens.  `path` is a file with the complete metadata.  One flag
 * per token; the caller frees them.
 */
enum err vocab_find_silent(const char *path, uint32_t n, bool **ret_silent,
                           struct error *error) MUST_USE;
