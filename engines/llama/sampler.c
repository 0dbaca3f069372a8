/*
 * sampler.c - a chain of llama.cpp's samplers, and two checks around it.
 *
 * Before: the samplers sort, and sorting what is not comparable may leave the array.
 * After: a grammar that no token can go on with leaves only impossible ones; telling
 * the grammar that one of them was taken would end the process.
 */
#include "sampler.h"

#include <math.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "quiet.h"

struct sampler {
    struct llama_sampler *chain;
    int32_t n_vocab;
};

/* Below this, dividing by the temperature overflows before it changes anything. */
static const double coldest = 1e-4;

static uint32_t draw_seed(void)
{
    uint32_t seed;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
        seed = (uint32_t)clock_us();
    return seed;
}

/* What llama.cpp says of a grammar, as one line; it goes on with the grammar itself. */
static enum err refuse_grammar(const struct hearsay *said, struct error *error)
{
    static const char before[] = "error parsing grammar: ";
    const char *what = strstr(said->text, before);
    if (!what)
        return fail(error, ERR_INVALID_REQUEST,
                    "the grammar can't be used: it needs a rule 'root' and no left recursion");
    what += strlen(before);
    size_t len = strcspn(what, "\n");
    return fail(error, ERR_INVALID_REQUEST, "the grammar can't be read: %.*s",
                (int)(len < 80 ? len : 80), what);
}

static enum err check_grammar(struct slice grammar, struct error *error)
{
    if (grammar.len > GRAMMAR_BYTES_MAX)
        return fail(error, ERR_INVALID_REQUEST, "the grammar has %zu bytes; at most %d",
                    grammar.len, GRAMMAR_BYTES_MAX);
    size_t alternatives = 0;
    for (size_t i = 0; i < grammar.len; i++)
        alternatives += grammar.at[i] == '|';
    if (alternatives > GRAMMAR_ALTERNATIVES_MAX)
        return fail(error, ERR_INVALID_REQUEST,
                    "the grammar has %zu alternatives ('|'); at most %d", alternatives,
                    GRAMMAR_ALTERNATIVES_MAX);
    return OK;
}

static enum err add_grammar(struct sampler *s, const struct llama_vocab *vocab,
                            struct slice grammar, struct error *error)
{
    enum err e = check_grammar(grammar, error);
    if (e)
        return e;
    CLEANUP(free_ptr) char *text = strndup(grammar.at, grammar.len);
    if (!text)
        return fail_nomem(error);
    struct hearsay said;
    quiet_listen(&said);
    struct llama_sampler *g = llama_sampler_init_grammar(vocab, text, "root");
    quiet_listen(NULL);
    if (!g)
        return refuse_grammar(&said, error);
    llama_sampler_chain_add(s->chain, g);
    return OK;
}

static void add_choice(struct llama_sampler *chain, const struct generate *g)
{
    if (g->temperature < coldest) {
        llama_sampler_chain_add(chain, llama_sampler_init_greedy());
        return;
    }
    int32_t top_k = g->top_k > INT32_MAX ? INT32_MAX : (int32_t)g->top_k;
    llama_sampler_chain_add(chain, llama_sampler_init_top_k(top_k));
    llama_sampler_chain_add(chain, llama_sampler_init_top_p((float)g->top_p, 1));
    llama_sampler_chain_add(chain, llama_sampler_init_temp((float)g->temperature));
    llama_sampler_chain_add(chain, llama_sampler_init_dist(g->has_seed ? g->seed : draw_seed()));
}

enum err sampler_new(const struct llama_vocab *vocab, const struct generate *g,
                     struct sampler **ret, struct error *error)
{
    struct sampler *s = calloc(1, sizeof *s);
    if (!s)
        return fail_nomem(error);
    s->n_vocab = llama_vocab_n_tokens(vocab);
    s->chain = llama_sampler_chain_init((struct llama_sampler_chain_params){ .no_perf = true });
    if (g->grammar.len) {
        enum err e = add_grammar(s, vocab, g->grammar, error);
        if (e) {
            sampler_free(s);
            return e;
        }
    }
    add_choice(s->chain, g);
    *ret = s;
    return OK;
}

void sampler_free(struct sampler *s)
{
    if (!s)
        return;
    llama_sampler_free(s->chain);
    free(s);
}

enum err sampler_next(struct sampler *s, const float *logits, llama_token_data *scratch,
                      llama_token *ret, struct error *error)
{
    bool numbers = true;
    for (int32_t i = 0; i < s->n_vocab; i++) {
        scratch[i] = (llama_token_data){ .id = i, .logit = logits[i] };
        numbers &= !isnan(logits[i]);
    }
    if (!numbers)
        return fail(error, ERR_INTERNAL, "the model computed what is no number; it may be damaged");

    llama_token_data_array all = { .data = scratch, .size = (size_t)s->n_vocab, .selected = -1 };
    llama_sampler_apply(s->chain, &all);
    if (all.selected < 0 || (size_t)all.selected >= all.size ||
        all.data[all.selected].logit == -INFINITY)
        return fail(error, ERR_INVALID_REQUEST,
                    "the grammar can't go on: none of the model's tokens fits");
    *ret = all.data[all.selected].id;
    llama_sampler_accept(s->chain, *ret);
    return OK;
}
