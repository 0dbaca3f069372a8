/*
 * metadata.h - the keys of a GGUF file: what each may be, and what they say.
 *
 * The first half of modelfile_check(); not for others.
 */
#pragma once

#include "modelfile.h"
#include "names.h"

struct metadata {
    struct measures measures;
    uint64_t elements;  /* of all arrays so far */
    uint32_t alignment; /* of tensors */

    /* Lengths of arrays that must fit a number which may come later; 0: no array. */
    uint64_t head_counts, kv_head_counts, feed_forwards;
    uint32_t shared_kv_layers;   /* the last so many use keys and values of others */
    uint32_t attention_interval; /* one of so many looks back at all tokens; 0: all do */
    bool keeps_state;            /* of a size of its own, instead of keys and values */
    uint32_t rotated;            /* numbers of a key that depend on the place; 0: not said */
    char prefix[64];             /* whose measures they are: "llama" of "llama.block_count" */
};

/* Read `n_keys` pairs of name and value.  Fails as modelfile_check() does. */
enum err metadata_read(struct window *w, uint64_t n_keys, struct metadata *ret,
                       struct error *error) MUST_USE;
