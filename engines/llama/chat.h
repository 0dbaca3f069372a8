/*
 * chat.h - a conversation, as the tokens that the model was trained on.
 *
 * The model's own chat template (Jinja) writes the conversation out; a model without
 * one gets ChatML, as in llama.cpp.  Then the text becomes tokens, and control tokens
 * come from the template only: what a message brought is text, even if it reads
 * "<|im_end|>".
 *
 * The one file in C++: templates are `common`'s, and no exception leaves it.  Any
 * thread, several at a time.
 */
#pragma once

#include <llama.h>
#include <stddef.h>

#include "base/buf.h"
#include "proto/request.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    /* A token stands for a few bytes, hardly ever for more than this.  A prompt with
     * more bytes for each token of the context is refused unread. */
    CHAT_BYTES_PER_TOKEN = 64,
};

struct chat;

/*
 * `model` is borrowed for the chat's life.  `source` is a template to use instead of
 * the model's own (NULL).
 *
 * ERR_CONFIG  the template is not one that we can read, or the model has no vocabulary
 */
enum err chat_new(const struct llama_model *model, const char *source, struct chat **ret,
                  struct error *error) MUST_USE;
void chat_free(struct chat *chat);

/* Does ChatML stand in for a template that the model does not have? */
bool chat_is_substitute(const struct chat *chat);

/* The longest text that can fit a context. */
static inline size_t chat_bytes_max(uint32_t n_ctx)
{
    return (size_t)n_ctx * CHAT_BYTES_PER_TOKEN;
}

/*
 * The tokens of a prompt that ends where the model's answer begins; from malloc(),
 * the caller's.  At least one token of `n_ctx` must be left for the answer.  A text of
 * more than `most_bytes`, messages and template, is not read: the thread's stack may not
 * be deep enough for it (deep.h).
 *
 * ERR_INVALID_REQUEST  it does not fit, or the template does not take it
 */
enum err chat_prompt(const struct chat *chat, const struct message *messages, size_t n,
                     uint32_t n_ctx, size_t most_bytes, llama_token **ret_tokens, size_t *ret_n,
                     struct error *error) MUST_USE;

/*
 * How the model's answers are to be read.  What it thinks before it answers is told apart
 * by `common`'s parser for its template, which takes whole texts; markers are where its
 * verdict may change.
 */

enum { CHAT_MARKERS_MAX = 16 };

/* The markers, which stay the chat's; 0: whatever the model says is its answer. */
size_t chat_markers(const struct chat *chat, struct slice ret[CHAT_MARKERS_MAX]);

/* Is the token to be written out although it is a control token? */
bool chat_is_marker(const struct chat *chat, llama_token token);

/*
 * The two parts of `text`, all that the model said; unless `whole`, more will come.  Both
 * buffers are emptied first.
 *
 * ERR_PROTOCOL  it is not what the model should say
 */
enum err chat_separate(const struct chat *chat, struct slice text, bool whole, struct buf *thinking,
                       struct buf *answer) MUST_USE;

#ifdef __cplusplus
}
#endif
