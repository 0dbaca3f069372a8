/*
 * deep.h - a thread with a stack as large as what it is given may need.
 *
 * For some vocabularies the text is cut by regular expressions that the C++ library
 * matches by recursion, once for each character of a run of letters: 320 bytes of stack
 * each, measured, and more where the expression is nested.  So the longest text that may
 * be read follows from the size of the stack: a byte of it for each DEEP_BYTES_PER_BYTE.
 *
 * A stack is address space until it is used, and what was used is given back after each
 * text.  Where that much can't be had, it is less, and so are the texts.
 */
#pragma once

#include <pthread.h>

#include "base/error.h"

enum { DEEP_BYTES_PER_BYTE = 1024 };

struct deep {
    pthread_t thread;
    char *stack; /* the lowest byte; it grows down towards it */
    size_t bytes;
};

/* Set aside a stack for texts of `bytes`, and at least what any thread needs. */
enum err deep_init(struct deep *d, size_t bytes, struct error *error) MUST_USE;

/* The longest text for which it suffices. */
size_t deep_text_max(const struct deep *d);

/* `run(arg)` on its own thread, which never ends. */
enum err deep_start(struct deep *d, void *(*run)(void *), void *arg, struct error *error) MUST_USE;

/* On that thread, as far up as it goes: give back what was used below. */
void deep_rest(const struct deep *d);
