/*
 * words.h - amounts for people, objects for programs.
 */
#pragma once

#include "base/json.h"
#include "output.h"

/* "4.8 GiB", "512 B" */
struct words {
    char text[24];
};

struct words words_bytes(uint64_t bytes);

/* "0:57", "1:02:03" */
struct words words_seconds(uint64_t seconds);

/* Text that need not be UTF-8, as paths are; NULL when there is no memory. */
json_t *json_text(const char *text) MUST_USE;

/* One line of compact JSON, keys sorted.  `object` is taken; NULL means that there was no
 * memory for it, which breaks the output.  False once the output is broken. */
bool output_json(struct output *o, json_t *object);
