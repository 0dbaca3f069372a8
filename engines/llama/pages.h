/*
 * pages.h - a cache costs memory only as far as it is used.
 *
 * llama.cpp writes zeroes over the whole cache when a context is made, so that every
 * page of it exists from then on, though most may never hold a token.  Given back to
 * the kernel they read as zeroes just the same, and come into being one by one as
 * tokens fill them.
 *
 * The library does not tell where its cache is, but the graph that it computes does:
 *
 *     struct pages pages = { 0 };
 *     params.cb_eval = pages_look;
 *     params.cb_eval_user_data = &pages;
 *     ... make the context, decode once, clear the cache ...
 *     pages_release(&pages);
 */
#pragma once

#include <ggml-backend.h>
#include <stdbool.h>
#include <stddef.h>

enum { PAGES_BUFFERS_MAX = 8 }; /* a context has one, or one for each kind of layer */

struct pages {
    ggml_backend_buffer_t found[PAGES_BUFFERS_MAX]; /* borrowed from the context */
    size_t n;
    bool released;
};

/* A ggml_backend_sched_eval_callback; `pages` is a struct pages that outlives the
 * context.  Asks to see no tensor's values, so the graph is computed as it would be. */
bool pages_look(struct ggml_tensor *node, bool ask, void *pages);

/* Give back what was found.  The cache must be empty: its contents are zeroes after.
 * Returns the number of bytes. */
size_t pages_release(struct pages *pages);
