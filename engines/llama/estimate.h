/*
 * estimate.h - what a model will take of memory, before it is loaded.
 *
 * A model that does not fit makes the whole machine stand still, so it is refused, with
 * the numbers.  Of the machine's memory the estimate counts what is taken at least: who
 * is refused would not have been served.  A limit of the process counts address space,
 * too, so there it leaves room for stacks.
 */
#pragma once

#include <ggml.h>

#include "memory.h"
#include "modelfile.h"

struct estimate {
    uint64_t weights;   /* the file's, whether read or mapped */
    uint64_t context;   /* keys and values of all requests */
    uint64_t computing; /* what one step needs besides */
};

/* How it is to be run. */
struct estimate_plan {
    uint32_t slots;
    uint32_t n_ctx; /* of each */
    uint32_t batch; /* tokens in one step */
    enum ggml_type kv_type;
    bool flash_attention;
    int32_t layers_elsewhere; /* in other memory than the machine's; negative: all */
};

struct estimate estimate_make(const struct measures *m, uint64_t weights,
                              const struct estimate_plan *plan);

static inline uint64_t estimate_sum(const struct estimate *e)
{
    return e->weights + e->context + e->computing;
}

/* Is there room for it? */
bool estimate_fits(const struct estimate *e, const struct memory *memory);

/* What it leaves; UINT64_MAX: there is no end to it. */
uint64_t estimate_spare(const struct estimate *e, const struct memory *memory);

/* ERR_CONFIG, with all the numbers. */
enum err estimate_refuse(const struct estimate *e, const struct estimate_plan *plan,
                         const struct memory *memory, struct error *error);
