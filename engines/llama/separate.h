/*
 * separate.h - thinking told from the answer, while it comes.
 *
 * What separates them is llama.cpp's parser for the model's template (chat.h), which takes
 * all of the text each time.  So it is asked only where something may have changed:
 *
 *     text ----------> no marker can be pending: of the same kind as what was before it
 *       \------------> a marker came: the parser is asked, at most every 64 bytes or 50 ms
 *
 * The end of the text that may still become a marker is held back.
 */
#pragma once

#include "base/buf.h"
#include "chat.h"

struct separator;

/* `chat` is borrowed.  `*ret` is NULL if all that its model says is the answer. */
enum err separator_new(const struct chat *chat, struct separator **ret) MUST_USE;
void separator_free(struct separator *s);

/* The text goes on with `text`, whole characters; what of it is known by now is appended
 * to `thinking` or `answer`. */
enum err separator_add(struct separator *s, struct slice text, struct buf *thinking,
                       struct buf *answer) MUST_USE;

/* It ends here: all that was held back is appended. */
enum err separator_end(struct separator *s, struct buf *thinking, struct buf *answer) MUST_USE;
