/*
 * pages.h - the pages that a model's memory is made of.
 *
 * The cache: llama.cpp writes zeroes over all of it when a context is made, so that every
 * page of it exists from then on, though most may never hold a token.  Given back to the
 * kernel they read as zeroes just the same, and come into being one by one as tokens fill
 * them.
 *
 * The weights: each token reads all of them once, in order.  Out of a mapped file that is
 * done 4 KiB at a time, and every step to the next page is looked up and breaks the
 * processor's reading ahead; out of pages of 2 MiB it is a tenth faster.  So they are
 * copied to such pages, at the same addresses, where there is memory to spare.  Nor does
 * it matter from then on what becomes of the file.
 *
 * The library does not tell where its buffers are, but the graph that it computes does:
 *
 *     struct pages pages = { 0 };
 *     params.cb_eval = pages_look;
 *     params.cb_eval_user_data = &pages;
 *     ... make the context, decode once, clear the cache ...
 *     pages_release(&pages);
 *     pages_enlarge(&pages, true, &error);
 */
#pragma once

#include <ggml-backend.h>

#include "base/error.h"

enum { PAGES_BUFFERS_MAX = 16 }; /* a model has one for each kind of memory */

struct buffers {
    ggml_backend_buffer_t at[PAGES_BUFFERS_MAX]; /* borrowed from model and context */
    size_t n;
};

struct pages {
    struct buffers caches;
    struct buffers weights;
    bool known; /* nothing new will be seen */
};

/* A ggml_backend_sched_eval_callback; `pages` is a struct pages that outlives the
 * context.  Asks to see no tensor's values, so the graph is computed as it would be. */
bool pages_look(struct ggml_tensor *node, bool ask, void *pages);

/* Give back what the caches hold, which must be empty: they are zeroes after. */
void pages_release(struct pages *pages);

/*
 * Move the weights to large pages.  Nothing may compute meanwhile.  Where the kernel has
 * no such pages to give, small ones take their place; without memory all stays as it is.
 * `mapped`: the weights are in a mapped file, whose first and last page are theirs alone.
 *
 * ERR_SYSTEM  weights were lost on the way: the model is of no use any more
 */
enum err pages_enlarge(const struct pages *pages, bool mapped, struct error *error) MUST_USE;
