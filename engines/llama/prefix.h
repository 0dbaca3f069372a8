/*
 * prefix.h - what was computed before: whose it is, and how much of it a prompt can use.
 *
 * A sequence is the tokens that were decoded one after the other.  The cache of keys and
 * values holds those of the slots; what has to make room there is kept in host memory, on
 * the shelf, as the bytes that llama.cpp makes of it.  This file counts and compares; it
 * computes nothing and knows no context.
 */
#pragma once

#include <llama.h>

#include "base/list.h"
#include "proto/request.h"

/* Who may start from what another computed: a prompt that is answered sooner tells that
 * somebody had the same beginning. */
enum sharing {
    SHARING_UID,    /* programs of one user; nobody whom nobody attests */
    SHARING_CALLER, /* the same program of the same user */
    SHARING_OFF,
};

bool sharing_from_name(const char *name, enum sharing *ret);
bool sharing_allows(enum sharing sharing, struct asker a, struct asker b);

/* How far a model's memory can be taken back. */
struct rewind {
    bool possible;   /* false: a sequence is of use as it is, or not at all */
    uint32_t window; /* a position needs this many before it; 0: all of them are kept */
};

/* How many tokens both begin with. */
size_t prefix_common(const llama_token *a, size_t n_a, const llama_token *b, size_t n_b);

/* How many tokens of a sequence of `n`, the oldest still held being at position `first`,
 * can be used by who has `common` of them. */
size_t prefix_usable(const struct rewind *rewind, size_t n, llama_pos first, size_t common);

/* A sequence on the shelf. */
struct kept {
    struct link link;
    struct asker asker;
    llama_token *tokens; /* owned */
    size_t n;
    llama_pos first; /* the oldest position that it holds */
    uint8_t *state;  /* llama.cpp's; owned */
    size_t bytes;    /* of it */
};

/* Owns what is on it, `max` bytes at most; the least recently used makes room. */
struct shelf {
    struct list kept; /* the most recently used last */
    size_t bytes;
    size_t max;
    enum sharing sharing;
    struct rewind rewind;
};

void shelf_init(struct shelf *s, size_t max, enum sharing sharing, struct rewind rewind);
void shelf_done(struct shelf *s);

/* What is of most use to a prompt, and how many of its tokens; NULL: nothing is.  It was
 * used now.  `ret_common`, if longer, is what they have in common all the same. */
struct kept *shelf_find(struct shelf *s, struct asker asker, const llama_token *prompt, size_t n,
                        size_t *ret_usable, size_t *ret_common);

/*
 * A place for a sequence whose state has `bytes` bytes, for the caller to fill or to
 * shelf_drop().  What it makes superfluous goes.  NULL: it is there already, is larger
 * than the shelf, or there is no memory: then it is not kept, and nothing is lost but time.
 */
struct kept *shelf_add(struct shelf *s, struct asker asker, const llama_token *tokens, size_t n,
                       size_t bytes);
void shelf_drop(struct shelf *s, struct kept *k);
