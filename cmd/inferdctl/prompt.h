/*
 * prompt.h - where a prompt comes from: the words of the command line, a file, or
 * standard input.
 */
#pragma once

#include "base/buf.h"

enum {
    PROMPT_BYTES_MAX = 64 * 1024 * 1024, /* what the daemon takes in all */
};

/*
 * Add a word of the command line; several are joined by blanks.
 * False after a complaint.
 */
bool prompt_add_word(struct buf *prompt, const char *word);

/*
 * Make `prompt`, which holds `n_words` words, a terminated string that is not empty.
 * "-" alone, or no word while standard input is no terminal, means all of standard
 * input without its last newline.  False after a complaint.
 */
bool prompt_finish(struct buf *prompt, unsigned n_words);

/* The text of a file, to be freed; NULL after a complaint. */
char *prompt_file(const char *path);
