/*
 * inferd-sampling - what choosing a token costs, beside llama.cpp's plain chain.
 *
 *     inferd-sampling VOCABULARY.gguf
 *
 * Numbers of two shapes: flat, as random weights have them, and peaked, as trained ones do.
 * One line each: how it is chosen, microseconds for a token by our sampler, and by the chain
 * that copies the vocabulary and hands it to llama.cpp's samplers; medians.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "llama/sampler.h"

enum { ROWS = 16, ROUNDS = 401 };

struct bench {
    const struct llama_vocab *vocab;
    int32_t n_vocab;
    float *rows;    /* ROWS of n_vocab */
    float *changed; /* one */
    llama_token_data *scratch;
};

static double random_unit(void)
{
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) / 9007199254740992.0;
}

static void fill(struct bench *b, bool peaked)
{
    for (int32_t i = 0; i < ROWS * b->n_vocab; i++) {
        double sum = 0;
        for (int j = 0; j < 6; j++)
            sum += random_unit() - 0.5;
        bool likely = peaked && random_unit() < 0.001;
        b->rows[i] = (float)(2 * sum + (likely ? 10 + 8 * random_unit() : 0));
    }
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double median(int64_t spent[ROUNDS])
{
    qsort(spent, ROUNDS, sizeof *spent, by_size);
    return (double)spent[ROUNDS / 2];
}

static double time_ours(const struct bench *b, const struct generate *g)
{
    struct sampler *s;
    struct error error;
    llama_token token;
    if (sampler_new(b->vocab, g, &s, &error))
        return -1;
    int64_t spent[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        memcpy(b->changed, b->rows + i % ROWS * b->n_vocab, (size_t)b->n_vocab * sizeof(float));
        int64_t began = clock_us();
        enum err e = sampler_next(s, b->changed, b->scratch, &token, &error);
        spent[i] = clock_us() - began;
        if (e)
            return -1;
    }
    sampler_free(s);
    return median(spent);
}

static struct llama_sampler *plain_chain(const struct bench *b, const struct generate *g)
{
    struct llama_sampler *c =
        llama_sampler_chain_init((struct llama_sampler_chain_params){ .no_perf = true });
    if (g->grammar.len)
        llama_sampler_chain_add(c, llama_sampler_init_grammar(b->vocab, g->grammar.at, "root"));
    if (g->temperature == 0) {
        llama_sampler_chain_add(c, llama_sampler_init_greedy());
        return c;
    }
    llama_sampler_chain_add(c, llama_sampler_init_top_k((int32_t)g->top_k));
    llama_sampler_chain_add(c, llama_sampler_init_top_p((float)g->top_p, 1));
    llama_sampler_chain_add(c, llama_sampler_init_temp((float)g->temperature));
    llama_sampler_chain_add(c, llama_sampler_init_dist(g->seed));
    return c;
}

static double time_plain(const struct bench *b, const struct generate *g)
{
    struct llama_sampler *chain = plain_chain(b, g);
    int64_t spent[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        int64_t began = clock_us();
        const float *row = b->rows + i % ROWS * b->n_vocab;
        for (int32_t t = 0; t < b->n_vocab; t++)
            b->scratch[t] = (llama_token_data){ .id = t, .logit = row[t] };
        llama_token_data_array all = { b->scratch, (size_t)b->n_vocab, -1, false };
        llama_sampler_apply(chain, &all);
        llama_sampler_accept(chain, all.data[all.selected].id);
        spent[i] = clock_us() - began;
    }
    llama_sampler_free(chain);
    return median(spent);
}

static void compare(const struct bench *b, const char *shape, const char *name,
                    const struct generate *g)
{
    printf("%-7s %-24s %7.0f us %9.0f us\n", shape, name, time_ours(b, g), time_plain(b, g));
}

static void compare_all(struct bench *b, const char *shape)
{
    struct generate g;
    generate_init(&g);
    g.has_seed = true;
    compare(b, shape, "as by default", &g);
    g.top_k = 0;
    compare(b, shape, "top_k 0", &g);
    g.temperature = 0;
    compare(b, shape, "temperature 0", &g);
    generate_init(&g);
    g.has_seed = true;
    static const char words[] = "root ::= [^\"\\\\]*";
    g.grammar = (struct slice){ words, sizeof words - 1 };
    compare(b, shape, "a grammar", &g);
}

static void discard(enum ggml_log_level level UNUSED, const char *text UNUSED, void *context UNUSED)
{
}

int main(int argc, char **argv)
{
    struct llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    llama_log_set(discard, NULL);
    struct llama_model *model = argc == 2 ? llama_model_load_from_file(argv[1], params) : NULL;
    if (!model) {
        fprintf(stderr, "usage: inferd-sampling VOCABULARY.gguf\n");
        return 2;
    }
    struct bench b = { .vocab = llama_model_get_vocab(model) };
    b.n_vocab = llama_vocab_n_tokens(b.vocab);
    b.rows = malloc(ROWS * (size_t)b.n_vocab * sizeof *b.rows);
    b.changed = malloc((size_t)b.n_vocab * sizeof *b.changed);
    b.scratch = malloc((size_t)b.n_vocab * sizeof *b.scratch);
    if (!b.rows || !b.changed || !b.scratch)
        return 1;
    printf("%d tokens                        ours  plain chain\n", b.n_vocab);
    fill(&b, false);
    compare_all(&b, "flat");
    fill(&b, true);
    compare_all(&b, "peaked");
    free(b.rows);
    free(b.changed);
    free(b.scratch);
    llama_model_free(model);
    return 0;
}
