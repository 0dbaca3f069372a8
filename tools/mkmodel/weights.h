/*
 * weights.h - random weights in the shape of a Llama.
 */
#pragma once

#include <gguf.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"
#include "shape.h"

/* Say which shapes cannot be built, and why. */
enum err weights_check(const struct shape *shape, struct error *error) MUST_USE;

/* Put the metadata of the architecture and the list of tensors into `model`. */
enum err weights_declare(struct gguf_context *model, const struct shape *shape, uint32_t n_tokens,
                         struct error *error) MUST_USE;

/* The size of a file with everything that is declared in `model`. */
uint64_t weights_file_size(const struct gguf_context *model);

/*
 * Write all tensors to their places in `file`, which holds the metadata already.
 * Tokens with a flag in `silent` (NULL: none) are never chosen by the model,
 * whatever the prompt and the sampling.
 */
enum err weights_write(const struct gguf_context *model, const struct shape *shape,
                       uint32_t n_tokens, const bool *silent, FILE *file,
                       struct error *error) MUST_USE;
