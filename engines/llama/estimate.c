/*
 * estimate.c - multiplied out from the model's measures.
 *
 *     context    tokens x heads of keys and values in all layers x their lengths
 *     computing  a batch through the widest layer; for each of its tokens which others it
 *                sees (without flash attention: how well, for each head); and numbers for
 *                each word of the vocabulary for each token that is sampled
 *
 * A modelfile's measures are below 2^25, and so are contexts; only where all of them come
 * together can they be more than 64 bits hold.
 */
#include "estimate.h"

#include <inttypes.h>

enum {
    MIB = 1024 * 1024,
    ITSELF = 128 * MIB, /* small stacks, graphs, the vocabulary, what is said */
    DEEP = 64 * MIB,    /* each of the two deep stacks, at least; of a limit a sixteenth */
};

static uint64_t times(uint64_t a, uint64_t b)
{
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX / 4 : product;
}

static uint32_t length_of_head(const struct measures *m, uint32_t length)
{
    return length ? length : m->heads ? m->width / m->heads : 0;
}

static uint64_t tokens_of(const struct measures *m, const struct estimate_plan *plan)
{
    return m->context && m->context < plan->n_ctx ? m->context : plan->n_ctx;
}

static uint64_t context_of(const struct measures *m, const struct estimate_plan *plan)
{
    uint64_t tokens = tokens_of(m, plan);
    uint64_t value = m->latent ? 0 : length_of_head(m, m->value_length);
    uint64_t numbers = m->kv_heads * (length_of_head(m, m->key_length) + value);
    uint64_t blocks = numbers / (uint64_t)ggml_blck_size(plan->kv_type);
    return times(tokens * plan->slots, blocks * ggml_type_size(plan->kv_type));
}

static uint64_t computing_of(const struct measures *m, const struct estimate_plan *plan)
{
    uint64_t widest = m->feed_forward > m->width ? m->feed_forward : m->width;
    uint64_t batch = plan->batch * (2 * widest + 2 * (uint64_t)m->width) * sizeof(float);
    uint64_t seen = plan->batch * tokens_of(m, plan) * sizeof(uint16_t);
    if (!plan->flash_attention)
        seen += plan->batch * tokens_of(m, plan) * m->heads * sizeof(float);
    return batch + seen + 2 * m->vocabulary * plan->slots * sizeof(float);
}

/* What is left here of `bytes` that belong to the layers. */
static uint64_t stays(uint64_t bytes, const struct measures *m, int32_t elsewhere)
{
    if (elsewhere == 0 || m->layers == 0)
        return bytes;
    if (elsewhere < 0 || (uint32_t)elsewhere >= m->layers)
        return 0;
    return bytes / m->layers * (m->layers - (uint32_t)elsewhere);
}

struct estimate estimate_make(const struct measures *m, uint64_t weights,
                              const struct estimate_plan *plan)
{
    return (struct estimate){
        .weights = stays(weights, m, plan->layers_elsewhere),
        .context = stays(context_of(m, plan), m, plan->layers_elsewhere),
        .computing = computing_of(m, plan),
    };
}

/* What the process may take of its own beside what it takes in any case. */
static uint64_t for_the_model(const struct memory *memory)
{
    uint64_t limit = memory->of_the_process;
    uint64_t itself = ITSELF + 2 * (limit / 16 > DEEP ? limit / 16 : DEEP);
    if (limit == UINT64_MAX)
        return UINT64_MAX;
    return itself < limit ? limit - itself : 0;
}

static bool within_limit(const struct estimate *e, const struct memory *memory)
{
    return e->context + e->computing <= for_the_model(memory);
}

static uint64_t rest(uint64_t there, uint64_t taken)
{
    if (there == UINT64_MAX)
        return there;
    return taken < there ? there - taken : 0;
}

uint64_t estimate_spare(const struct estimate *e, const struct memory *memory)
{
    uint64_t of_all = rest(memory->available, estimate_sum(e));
    uint64_t of_limit = rest(for_the_model(memory), e->context + e->computing);
    return of_all < of_limit ? of_all : of_limit;
}

bool estimate_fits(const struct estimate *e, const struct memory *memory)
{
    return estimate_sum(e) <= memory->available && within_limit(e, memory);
}

enum err estimate_refuse(const struct estimate *e, const struct estimate_plan *plan,
                         const struct memory *memory, struct error *error)
{
    bool ours = !within_limit(e, memory);
    return fail(error, ERR_CONFIG,
                "it needs about %" PRIu64 " MiB of memory (weights %" PRIu64 ", context of %u "
                "request%s with %u tokens %" PRIu64 ", computing %" PRIu64 ") and %s has %" PRIu64
                "%s; fewer slots, a smaller n_ctx or a smaller kv_type need less, and "
                "\"memory_check\": false loads it all the same",
                estimate_sum(e) / MIB, e->weights / MIB, plan->slots, plan->slots == 1 ? "" : "s",
                plan->n_ctx, e->context / MIB, e->computing / MIB,
                ours ? "memory_limit_mib, which counts all but the weights," : memory->of,
                (ours ? memory->of_the_process : memory->available) / MIB,
                ours ? "" : " available");
}
