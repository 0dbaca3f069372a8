/*
 * nesting.h - how deep a chat template is, before anything parses it.
 *
 * A template comes with the model, from anywhere.  llama.cpp's parser calls itself for
 * each block, bracket, `elif`, `not` and `else` inside another, and evaluates a chain
 * of operators by recursion, too: a text of a few kilobytes can overflow a stack.
 */
#pragma once

#include "base/error.h"

enum {
    NESTING_MAX = 128,    /* blocks and brackets around one place */
    TAG_WORDS_MAX = 1024, /* names, numbers, texts and operators in one {{ }} or {% %} */
};

/* ERR_CONFIG, with a sentence that says where, if the template is deeper than that.
 * Whether it makes sense is not judged. */
enum err nesting_check(const char *text, size_t len, struct error *error) MUST_USE;
