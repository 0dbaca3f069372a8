/*
 * Promises of engines/llama/select.c and sampler.c: our shortcuts choose what llama.cpp's
 * chain chooses, from numbers as a model would compute them.
 */
#include "llama/sampler.h"
#include "llama/select.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#include <cmocka.h>

static struct llama_model *model;
static const struct llama_vocab *vocab;
static int32_t n_vocab;
static float *logits, *changed;
static llama_token_data *scratch;

static uint64_t state = 1;

static double random_unit(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) / 9007199254740992.0;
}

/* Bell-shaped, with a tail of a few likely ones, as trained models have it. */
static void compute_logits(double spread)
{
    for (int32_t i = 0; i < n_vocab; i++) {
        double sum = 0;
        for (int j = 0; j < 6; j++)
            sum += random_unit() - 0.5;
        logits[i] = (float)(sum * spread + (random_unit() < 0.001 ? 8 * random_unit() : 0));
    }
}

/* --- select ------------------------------------------------------------------- */

static int by_rank(const void *a, const void *b)
{
    float x = logits[*(const int32_t *)a], y = logits[*(const int32_t *)b];
    if (x != y)
        return x < y ? 1 : -1;
    return *(const int32_t *)a - *(const int32_t *)b;
}

/* Is select_top() the beginning of the sorted whole, for the first `n` logits? */
static void expect_sorted_top(int32_t n, int32_t k)
{
    int32_t *ids = calloc((size_t)n, sizeof *ids);
    for (int32_t i = 0; i < n; i++)
        ids[i] = i;
    qsort(ids, (size_t)n, sizeof *ids, by_rank);
    assert_true(select_top(logits, n, scratch, k));
    for (int32_t i = 0; i < k; i++) {
        assert_int_equal(scratch[i].id, ids[i]);
        assert_true(scratch[i].logit == logits[ids[i]]);
    }
    assert_int_equal(select_best(logits, n), ids[0]);
    free(ids);
}

static void the_top_is_the_beginning_of_the_sorted_whole(void **state_ UNUSED)
{
    static const int32_t sizes[] = { 1, 2, 31, 32, 33, 63, 64, 65, 97, 1000, 50000 };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        compute_logits(4);
        for (int32_t k = 1; k <= sizes[i]; k = k * 3 + 1)
            expect_sorted_top(sizes[i], k);
        expect_sorted_top(sizes[i], sizes[i]);
    }
}

static void of_equal_ones_the_first_is_the_best(void **state_ UNUSED)
{
    for (int32_t i = 0; i < 300; i++)
        logits[i] = (float)(i * 7 % 3);
    for (int32_t k = 1; k <= 300; k += 13)
        expect_sorted_top(300, k);
    for (int32_t i = 0; i < 300; i++)
        logits[i] = -INFINITY;
    expect_sorted_top(300, 100);
}

static void a_nan_is_found_wherever_it_is(void **state_ UNUSED)
{
    for (int32_t i = 0; i < 200; i++)
        logits[i] = (float)-i;
    for (int32_t i = 0; i < 200; i++) {
        float was = logits[i];
        logits[i] = NAN;
        assert_int_equal(select_best(logits, 200), -1);
        assert_false(select_top(logits, 200, scratch, 10));
        logits[i] = was;
    }
    assert_int_equal(select_best(logits, 200), 0);
}

/* --- the plain chain ------------------------------------------------------------- */

static struct llama_sampler *plain_chain(const struct generate *g)
{
    struct llama_sampler *c =
        llama_sampler_chain_init((struct llama_sampler_chain_params){ .no_perf = true });
    llama_logit_bias bias[8];
    for (size_t i = 0; i < g->n_logit_bias; i++)
        bias[i] = (llama_logit_bias){ (llama_token)g->logit_bias[i].token, g->logit_bias[i].bias };
    llama_sampler_chain_add(c,
                            llama_sampler_init_logit_bias(n_vocab, (int32_t)g->n_logit_bias, bias));
    llama_sampler_chain_add(
        c, llama_sampler_init_penalties(n_vocab, PENALTY_TOKENS, (float)g->repeat_penalty,
                                        (float)g->frequency_penalty, (float)g->presence_penalty));
    if (g->grammar.len)
        llama_sampler_chain_add(c, llama_sampler_init_grammar(vocab, g->grammar.at, "root"));
    if (g->temperature == 0) {
        llama_sampler_chain_add(c, llama_sampler_init_greedy());
        return c;
    }
    llama_sampler_chain_add(c, llama_sampler_init_top_k((int32_t)g->top_k));
    llama_sampler_chain_add(c, llama_sampler_init_top_p((float)g->top_p, 1));
    llama_sampler_chain_add(c, llama_sampler_init_min_p((float)g->min_p, 1));
    llama_sampler_chain_add(c, llama_sampler_init_temp((float)g->temperature));
    llama_sampler_chain_add(c, llama_sampler_init_dist(g->seed));
    return c;
}

static llama_token plain_next(struct llama_sampler *chain)
{
    for (int32_t i = 0; i < n_vocab; i++)
        scratch[i] = (llama_token_data){ .id = i, .logit = logits[i] };
    llama_token_data_array all = { .data = scratch, .size = (size_t)n_vocab, .selected = -1 };
    llama_sampler_apply(chain, &all);
    assert_true(all.selected >= 0);
    llama_token token = all.data[all.selected].id;
    llama_sampler_accept(chain, token);
    return token;
}

static struct sampler *sampler_for(const struct generate *g)
{
    struct sampler *s;
    struct error error = { .message = "" };
    if (sampler_new(vocab, g, &s, &error) != OK)
        fail_msg("%s", error.message);
    return s;
}

static llama_token next(struct sampler *s)
{
    llama_token token;
    struct error error = { .message = "" };
    memcpy(changed, logits, (size_t)n_vocab * sizeof *changed);
    if (sampler_next(s, changed, scratch, &token, &error) != OK)
        fail_msg("%s", error.message);
    return token;
}

/* The same tokens, `n` times in a row. */
static void expect_the_plain_chains_tokens(const struct generate *g, int n, double spread)
{
    struct llama_sampler *chain = plain_chain(g);
    struct sampler *s = sampler_for(g);
    for (int i = 0; i < n; i++) {
        if (i % 4 == 0) /* numbers that stay for a while make penalties matter */
            compute_logits(spread);
        assert_int_equal(next(s), plain_next(chain));
    }
    sampler_free(s);
    llama_sampler_free(chain);
}

static struct generate plain(void)
{
    struct generate g;
    generate_init(&g);
    g.has_seed = true;
    g.seed = 7;
    return g;
}

static void the_shortcuts_choose_what_the_plain_chain_chooses(void **state_ UNUSED)
{
    static const struct {
        double temperature, top_p, min_p;
        uint32_t top_k;
    } cases[] = {
        { 1, 0.95, 0, 64 },    { 0, 0.95, 0, 64 },  { 0, 1, 0, 0 },     { 0.7, 0.5, 0, 40 },
        { 2, 1, 0, 1024 },     { 1, 0.9, 0, 1025 }, { 1, 0.9, 0, 0 },   { 1, 1, 0.05, 64 },
        { 0.2, 1, 0.5, 0 },    { 1, 0.95, 0, 1 },   { 1, 1e-6, 0, 64 }, { 1, 0.9, 0, 50256 },
        { 1.5, 0.99, 1, 500 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct generate g = plain();
        g.temperature = cases[i].temperature;
        g.top_p = cases[i].top_p;
        g.min_p = cases[i].min_p;
        g.top_k = cases[i].top_k;
        g.seed = (uint32_t)i;
        expect_the_plain_chains_tokens(&g, 40, i % 2 ? 1 : 5);
    }
}

static void bias_and_penalties_are_the_plain_chains(void **state_ UNUSED)
{
    struct logit_bias bias[] = { { 11, 20 }, { 12, -100 }, { 13, 19.5f } };
    for (int i = 0; i < 8; i++) {
        struct generate g = plain();
        g.temperature = i % 2;
        g.repeat_penalty = i & 2 ? 1.7 : 1;
        g.presence_penalty = i & 4 ? 1.5 : 0;
        g.frequency_penalty = i & 4 ? 0.25 : -0.5;
        g.logit_bias = bias;
        g.n_logit_bias = i & 1 ? ARRAY_LEN(bias) : 0;
        expect_the_plain_chains_tokens(&g, 200, 5);
    }
}

static void a_banned_token_is_never_chosen(void **state_ UNUSED)
{
    struct generate g = plain();
    compute_logits(1);
    g.temperature = 0;
    struct sampler *s = sampler_for(&g);
    struct logit_bias bias = { (uint32_t)next(s), -100 };
    sampler_free(s);
    g.logit_bias = &bias;
    g.n_logit_bias = 1;
    s = sampler_for(&g);
    assert_int_not_equal(next(s), bias.token);
    sampler_free(s);
}

static void every_seed_repeats(void **state_ UNUSED)
{
    static const uint32_t seeds[] = { 0, 1, UINT32_MAX - 1, UINT32_MAX };
    compute_logits(1);
    for (size_t i = 0; i < ARRAY_LEN(seeds); i++) {
        struct generate g = plain();
        g.top_p = 1;
        g.seed = seeds[i];
        struct sampler *a = sampler_for(&g), *b = sampler_for(&g);
        for (int j = 0; j < 20; j++)
            assert_int_equal(next(a), next(b));
        sampler_free(a);
        sampler_free(b);
    }
}

/* Others' draws between ours change nothing. */
static void what_is_random_is_the_requests_own(void **state_ UNUSED)
{
    struct generate g = plain();
    g.top_p = 1;
    compute_logits(1);
    llama_token alone[20];
    struct sampler *s = sampler_for(&g);
    for (int i = 0; i < 20; i++)
        alone[i] = next(s);
    sampler_free(s);
    struct generate h = plain();
    h.seed = 8;
    struct sampler *other = sampler_for(&h);
    s = sampler_for(&g);
    for (int i = 0; i < 20; i++) {
        next(other);
        assert_int_equal(next(s), alone[i]);
    }
    sampler_free(s);
    sampler_free(other);
}

/* --- grammars -------------------------------------------------------------------- */

static struct generate with_grammar(const char *grammar)
{
    struct generate g = plain();
    g.grammar = (struct slice){ grammar, strlen(grammar) };
    return g;
}

/* What it says until it ends, or `most` tokens of it. */
static struct buf write_out(const struct generate *g, double spread, int most)
{
    struct buf text;
    buf_init(&text, 100000);
    struct sampler *s = sampler_for(g);
    for (int i = 0; i < most; i++) {
        char piece[256];
        compute_logits(spread);
        llama_token token = next(s);
        if (llama_vocab_is_eog(vocab, token))
            break;
        int32_t n = llama_token_to_piece(vocab, token, piece, sizeof piece, 0, false);
        assert_true(n > 0);
        assert_int_equal(buf_append(&text, piece, (size_t)n), OK);
    }
    sampler_free(s);
    assert_int_equal(buf_append(&text, "", 1), OK);
    return text;
}

static void the_best_that_a_grammar_allows_is_the_plain_chains(void **state_ UNUSED)
{
    static const char *const grammars[] = {
        "root ::= \"yes\" | \"no\" | \"maybe\"",
        "root ::= [a-z]+ (\" \" [a-z]+)* \".\"",
        "root ::= [^x]*",
        "root ::= [0-9]{3,5} \"-\" [0-9]+",
    };
    for (size_t i = 0; i < ARRAY_LEN(grammars); i++) {
        struct generate g = with_grammar(grammars[i]);
        g.temperature = 0;
        struct llama_sampler *chain = plain_chain(&g);
        struct sampler *s = sampler_for(&g);
        llama_token token = LLAMA_TOKEN_NULL;
        for (int j = 0; j < 6 && !llama_vocab_is_eog(vocab, token); j++) {
            compute_logits(j % 2 ? 1 : 6);
            token = next(s);
            assert_int_equal(token, plain_next(chain));
        }
        sampler_free(s);
        llama_sampler_free(chain);
    }
}

static void nothing_leaves_a_grammar(void **state_ UNUSED)
{
    struct generate g = with_grammar("root ::= \"yes\" | \"no\" | \"maybe\"");
    for (uint32_t seed = 0; seed < 20; seed++) {
        g.seed = seed;
        g.top_k = seed % 3 * 40;
        struct buf text = write_out(&g, seed % 2 ? 1 : 9, 30);
        assert_true(strcmp(text.at, "yes") == 0 || strcmp(text.at, "no") == 0 ||
                    strcmp(text.at, "maybe") == 0);
        buf_done(&text);
    }
}

static void a_grammar_without_a_way_on_ends_the_request(void **state_ UNUSED)
{
    struct generate g = with_grammar("root ::= <[262]>");
    struct error error = { .message = "" };
    struct sampler *s = sampler_for(&g);
    llama_token token;
    compute_logits(1);
    assert_int_equal(next(s), 262);
    logits[0] = NAN;
    assert_int_equal(sampler_next(s, logits, scratch, &token, &error), ERR_INTERNAL);
    sampler_free(s);

    compute_logits(1);
    g = with_grammar("root ::= <[262]>");
    s = sampler_for(&g);
    logits[262] = -INFINITY;
    assert_int_equal(sampler_next(s, logits, scratch, &token, &error), ERR_INVALID_REQUEST);
    assert_non_null(strstr(error.message, "grammar"));
    sampler_free(s);
}

/* Each token doubles the ways in which the text can be meant. */
static void a_grammar_that_takes_too_long_ends_the_request(void **state_ UNUSED)
{
    struct generate g = with_grammar("root ::= \"a\" root \"x\" | \"a\" root \"y\" | \"a\"");
    struct logit_bias bias = { 64, 100 }; /* a */
    struct error error = { .message = "" };
    llama_token token = LLAMA_TOKEN_NULL;
    g.logit_bias = &bias;
    g.n_logit_bias = 1;
    struct sampler *s = sampler_for(&g);
    enum err e = OK;
    for (int i = 0; i < 100 && !e; i++) {
        compute_logits(1);
        e = sampler_next(s, logits, scratch, &token, &error);
        assert_int_equal(token, 64);
    }
    assert_int_equal(e, ERR_INVALID_REQUEST);
    assert_non_null(strstr(error.message, "too many ways"));
    sampler_free(s);
}

static void what_a_model_does_not_have_is_refused(void **state_ UNUSED)
{
    struct generate g = plain();
    struct logit_bias bias = { (uint32_t)n_vocab, 1 };
    struct sampler *s;
    struct error error;
    g.logit_bias = &bias;
    g.n_logit_bias = 1;
    assert_int_equal(sampler_new(vocab, &g, &s, &error), ERR_INVALID_REQUEST);
    assert_string_equal(error.message,
                        "logit_bias names token 50257; the model's last one is 50256");
    bias.token--;
    assert_int_equal(sampler_new(vocab, &g, &s, &error), OK);
    sampler_free(s);
}

static int load(void **state_ UNUSED)
{
    struct llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    model = llama_model_load_from_file(LLAMA_SOURCE "/models/ggml-vocab-gpt-2.gguf", params);
    assert_non_null(model);
    vocab = llama_model_get_vocab(model);
    n_vocab = llama_vocab_n_tokens(vocab);
    logits = calloc((size_t)n_vocab, sizeof *logits);
    changed = calloc((size_t)n_vocab, sizeof *changed);
    scratch = calloc((size_t)n_vocab, sizeof *scratch);
    return 0;
}

static int unload(void **state_ UNUSED)
{
    free(logits);
    free(changed);
    free(scratch);
    llama_model_free(model);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_top_is_the_beginning_of_the_sorted_whole),
        cmocka_unit_test(of_equal_ones_the_first_is_the_best),
        cmocka_unit_test(a_nan_is_found_wherever_it_is),
        cmocka_unit_test(the_shortcuts_choose_what_the_plain_chain_chooses),
        cmocka_unit_test(bias_and_penalties_are_the_plain_chains),
        cmocka_unit_test(a_banned_token_is_never_chosen),
        cmocka_unit_test(every_seed_repeats),
        cmocka_unit_test(what_is_random_is_the_requests_own),
        cmocka_unit_test(the_best_that_a_grammar_allows_is_the_plain_chains),
        cmocka_unit_test(nothing_leaves_a_grammar),
        cmocka_unit_test(a_grammar_without_a_way_on_ends_the_request),
        cmocka_unit_test(a_grammar_that_takes_too_long_ends_the_request),
        cmocka_unit_test(what_a_model_does_not_have_is_refused),
    };
    llama_log_set(NULL, NULL);
    return cmocka_run_group_tests(tests, load, unload);
}
