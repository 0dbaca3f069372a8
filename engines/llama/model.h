/*
 * model.h - a GGUF file, loaded, warm, and what can be said about it.
 */
#pragma once

#include <llama.h>

#include "chat.h"
#include "loading.h"
#include "pages.h"
#include "prefix.h"
#include "worker.h"

enum {
    /* Tokens that one pass reads; the most that a batch may hold. */
    MODEL_BATCH = 512,
};

struct model {
    struct llama_model *llama;
    struct llama_context *context;
    struct pages *pages;             /* of its cache */
    const struct llama_vocab *vocab; /* the model's */
    struct chat *chat;
    uint32_t n_ctx; /* tokens of one request, prompt and answer */
    uint32_t slots;
    bool unified;         /* the context is one for all slots, not a stream for each */
    uint32_t n_cells;     /* tokens of all requests */
    struct rewind rewind; /* of its memory */
    enum sharing sharing;
    size_t shelf_bytes;     /* host memory for sequences that are not in the cache */
    double slowdown;        /* of those that write, by those that read */
    int64_t one_us;         /* a pass that writes for one slot, */
    int64_t all_us;         /* and one for all */
    uint32_t together_from; /* so many are faster written for in one pass than apart */
    struct capabilities capabilities;
};

/* What the backend's entry in the configuration asks for; every other key is not ours. */
struct model_options {
    uint32_t n_ctx;
    int32_t n_gpu_layers; /* -1: all of them */
    struct loading loading;
    bool unified;
    uint32_t kv_tokens; /* of all requests, if unified; 0: n_ctx for each */
    enum sharing sharing;
    uint32_t shelf_mib;
    uint32_t pace_percent; /* what a token takes beside reading, of one without */
};

/* ERR_CONFIG  a value is not what it should be */
enum err model_options_read(const json_t *options, struct model_options *ret,
                            struct error *error) MUST_USE;

/* Put news of how far loading is in the worker's buffer. */
void model_tell_phase(struct worker *w, enum phase phase, const struct load *load, uint32_t n_ctx,
                      const char *cpu_variant);

/*
 * Load the file on ENGINE_MODEL_FD, telling the worker's daemon about it, and decode
 * what a request would.  The backend modules are loaded already.
 *
 * ERR_CONFIG  the file can't be loaded; the sentence names it
 */
enum err model_load(struct worker *w, const struct load *load, const struct model_options *options,
                    const char *cpu_variant, struct model *ret, struct error *error) MUST_USE;
