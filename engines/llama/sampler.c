/*
 * sampler.c - our own scan for the best tokens, llama.cpp's samplers for those few.
 *
 * What changes single numbers (bias, penalties) is done in place.  Then the scan of
 * select.h leaves the top_k best, or the one, and llama.cpp's samplers do the rest on
 * these.  Without a top_k the best hundred are often more than top_p wants, which a sum
 * over all shows; only otherwise is there an array of the whole vocabulary to sort.
 *
 * Asking a grammar about every token takes milliseconds.  So a token is chosen without it
 * first and taken if the grammar allows it: what was not cut away by top_k and top_p has
 * the same chances then as if the grammar had come first.  Otherwise the grammar looks at
 * the best few hundred, and at all only if what it left of these may not be what counts.
 *
 * While a grammar is asked, all others wait.  Some take long with every token (thousands of
 * words to choose from), and what becomes ambiguous takes twice as long with each; so there
 * are limits to the time that one request may spend on it.  Telling a grammar that a token was
 * taken which it does not allow would end the process, so nothing impossible is ever
 * chosen.
 */
#include "sampler.h"

#include <math.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "grammar.h"
#include "quiet.h"
#include "select.h"

enum {
    TOP_K_SCAN_MAX = 1024, /* beyond it, sorting everything is no slower */
    TOP_P_SCAN = 128,      /* as many as top_p leaves where a model knows what it wants */
    GRAMMAR_LOOKS_AT = 512,
    GRAMMAR_US = 2000 * 1000,      /* what it may take in all, */
    GRAMMAR_STEP_US = 500 * 1000,  /* at once: the next may take eight times that */
    GRAMMAR_TOKEN_US = 100 * 1000, /* and for each token */
};

/* Below this, dividing by the temperature overflows before it changes anything. */
static const double coldest = 1e-4;

/* What the tokens that a grammar was not asked about may weigh, of those that it allows. */
static const double negligible = 1e-6;

struct penalties {
    float repeat, presence, frequency;
    bool off;
    llama_token recent[PENALTY_TOKENS]; /* a ring */
    size_t n_taken;
};

struct sampler {
    int32_t n_vocab;
    int32_t top_k; /* 0: all; 1: take the best */
    double top_p;
    double temperature;
    struct logit_bias *bias; /* owned */
    size_t n_bias;
    struct penalties penalties;
    struct llama_sampler *grammar; /* NULL: none */
    int64_t grammar_us;            /* spent on it */
    struct llama_sampler *cut;     /* top_k, for arrays that nobody sorted */
    struct llama_sampler *nucleus; /* top_p, where we did not do that */
    struct llama_sampler *draw;    /* the rest; NULL: there is nothing to draw */
};

/* --- making one -------------------------------------------------------------- */

/* llama.cpp takes one number for "draw a seed"; it is as good as any other here. */
static uint32_t seed_of(const struct generate *g)
{
    uint32_t seed = g->seed;
    if (!g->has_seed && getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
        seed = (uint32_t)clock_us();
    return seed == LLAMA_DEFAULT_SEED ? 0 : seed;
}

/* What llama.cpp says of a grammar that was fine until here, as one line; it goes on with
 * the grammar itself. */
static enum err refuse_grammar(const struct hearsay *said, struct error *error)
{
    static const char before[] = "error parsing grammar: ";
    const char *what = strstr(said->text, before);
    if (!what)
        return fail(error, ERR_INVALID_REQUEST, "the grammar can't be used by this model");
    what += strlen(before);
    size_t len = strcspn(what, "\n");
    return fail(error, ERR_INVALID_REQUEST, "the grammar can't be read: %.*s",
                (int)(len < 80 ? len : 80), what);
}

static enum err add_grammar(struct sampler *s, const struct llama_vocab *vocab,
                            struct slice grammar, struct error *error)
{
    if (grammar.len == 0)
        return OK;
    enum err e = grammar_check(grammar, error);
    if (e)
        return e;
    CLEANUP(free_ptr) char *text = strndup(grammar.at, grammar.len);
    if (!text)
        return fail_nomem(error);
    struct hearsay said;
    quiet_listen(&said);
    s->grammar = llama_sampler_init_grammar(vocab, text, "root");
    quiet_listen(NULL);
    return s->grammar ? OK : refuse_grammar(&said, error);
}

static enum err add_bias(struct sampler *s, const struct generate *g, struct error *error)
{
    if (g->n_logit_bias == 0)
        return OK;
    for (size_t i = 0; i < g->n_logit_bias; i++)
        if (g->logit_bias[i].token >= (uint32_t)s->n_vocab)
            return fail(error, ERR_INVALID_REQUEST,
                        "logit_bias names token %u; the model's last one is %d",
                        g->logit_bias[i].token, s->n_vocab - 1);
    s->bias = malloc(g->n_logit_bias * sizeof *s->bias);
    if (!s->bias)
        return fail_nomem(error);
    memcpy(s->bias, g->logit_bias, g->n_logit_bias * sizeof *s->bias);
    s->n_bias = g->n_logit_bias;
    return OK;
}

static void add_penalties(struct penalties *p, const struct generate *g)
{
    p->repeat = (float)g->repeat_penalty;
    p->presence = (float)g->presence_penalty;
    p->frequency = (float)g->frequency_penalty;
    p->off = p->repeat == 1 && p->presence == 0 && p->frequency == 0;
}

static void add_draw(struct sampler *s, const struct generate *g)
{
    s->temperature = g->temperature;
    s->top_p = g->top_p;
    s->top_k = g->top_k < (uint32_t)s->n_vocab ? (int32_t)g->top_k : 0;
    if (g->temperature < coldest)
        s->top_k = 1;
    s->cut = llama_sampler_init_top_k(s->top_k);
    if (s->top_k == 1)
        return;
    s->nucleus = llama_sampler_init_top_p((float)g->top_p, 1);
    s->draw = llama_sampler_chain_init((struct llama_sampler_chain_params){ .no_perf = true });
    if (g->min_p > 0)
        llama_sampler_chain_add(s->draw, llama_sampler_init_min_p((float)g->min_p, 1));
    llama_sampler_chain_add(s->draw, llama_sampler_init_temp((float)g->temperature));
    llama_sampler_chain_add(s->draw, llama_sampler_init_dist(seed_of(g)));
}

enum err sampler_new(const struct llama_vocab *vocab, const struct generate *g,
                     struct sampler **ret, struct error *error)
{
    struct sampler *s = calloc(1, sizeof *s);
    if (!s)
        return fail_nomem(error);
    s->n_vocab = llama_vocab_n_tokens(vocab);
    add_penalties(&s->penalties, g);
    add_draw(s, g);
    enum err e = add_bias(s, g, error);
    if (!e)
        e = add_grammar(s, vocab, g->grammar, error);
    if (e) {
        sampler_free(s);
        return e;
    }
    *ret = s;
    return OK;
}

void sampler_free(struct sampler *s)
{
    if (!s)
        return;
    llama_sampler_free(s->draw);
    llama_sampler_free(s->nucleus);
    llama_sampler_free(s->cut);
    llama_sampler_free(s->grammar);
    free(s->bias);
    free(s);
}

/* --- single numbers ------------------------------------------------------------- */

static size_t n_recent(const struct penalties *p)
{
    return p->n_taken < PENALTY_TOKENS ? p->n_taken : PENALTY_TOKENS;
}

/* How often recent[i] is there; 0 if it was counted for an earlier place. */
static int times_recent(const struct penalties *p, size_t i)
{
    int times = 0;
    for (size_t j = 0; j < n_recent(p); j++) {
        if (p->recent[j] != p->recent[i])
            continue;
        if (j < i)
            return 0;
        times++;
    }
    return times;
}

/* A repeat penalty above 1 makes every number smaller, on whichever side of 0. */
static void penalise(const struct penalties *p, float *logits)
{
    for (size_t i = 0; i < n_recent(p); i++) {
        int times = times_recent(p, i);
        if (times == 0)
            continue;
        float *logit = &logits[p->recent[i]];
        *logit = *logit <= 0 ? *logit * p->repeat : *logit / p->repeat;
        *logit -= (float)times * p->frequency + p->presence;
    }
}

static void adjust(const struct sampler *s, float *logits)
{
    for (size_t i = 0; i < s->n_bias; i++)
        logits[s->bias[i].token] += s->bias[i].bias;
    if (!s->penalties.off)
        penalise(&s->penalties, logits);
}

/* --- choosing ------------------------------------------------------------------ */

/* All of the vocabulary, unsorted; false: there is a NaN. */
static bool take_all(const struct sampler *s, const float *logits, llama_token_data_array *ret)
{
    bool numbers = true;
    ret->size = (size_t)s->n_vocab;
    ret->sorted = false;
    for (int32_t i = 0; i < s->n_vocab; i++) {
        ret->data[i] = (llama_token_data){ .id = i, .logit = logits[i] };
        numbers &= !isnan(logits[i]);
    }
    return numbers;
}

static bool take_best(const struct sampler *s, const float *logits, llama_token_data *ret)
{
    int32_t best = select_best(logits, s->n_vocab);
    if (best >= 0)
        *ret = (llama_token_data){ .id = best, .logit = logits[best] };
    return best >= 0;
}

/* top_k and top_p, of an array that nobody sorted. */
static void shorten(const struct sampler *s, llama_token_data_array *c)
{
    llama_sampler_apply(s->cut, c);
    if (s->nucleus)
        llama_sampler_apply(s->nucleus, c);
}

/* The most likely ones that together have top_p of all, from the sorted `c`; false: it has
 * too few of them. */
static bool cut_nucleus(const struct sampler *s, const float *logits, llama_token_data_array *c)
{
    float best = c->data[0].logit;
    double all = 0, sum = 0;
    for (int32_t i = 0; i < s->n_vocab; i++)
        all += expf(logits[i] - best);
    for (size_t i = 0; i < c->size; i++) {
        sum += expf(c->data[i].logit - best);
        if (sum >= s->top_p * all) {
            c->size = i + 1;
            return true;
        }
    }
    return false;
}

/* The best `k`, sorted; false: there is a NaN. */
static bool take_top(const struct sampler *s, const float *logits, int32_t k,
                     llama_token_data_array *ret)
{
    ret->size = (size_t)k;
    ret->sorted = true;
    return select_top(logits, s->n_vocab, ret->data, k);
}

/* The candidates if there were no grammar; false: there is a NaN. */
static bool gather(const struct sampler *s, const float *logits, llama_token_data_array *ret)
{
    if (s->top_k == 1) {
        ret->size = 1;
        return take_best(s, logits, ret->data);
    }
    if (s->top_k > 0 && s->top_k <= TOP_K_SCAN_MAX) {
        if (!take_top(s, logits, s->top_k, ret))
            return false;
        llama_sampler_apply(s->nucleus, ret);
        return true;
    }
    if (s->top_k == 0 && s->top_p < 1 && s->n_vocab > TOP_P_SCAN) {
        if (!take_top(s, logits, TOP_P_SCAN, ret))
            return false;
        if (cut_nucleus(s, logits, ret))
            return true;
    }
    if (!take_all(s, logits, ret))
        return false;
    shorten(s, ret);
    return true;
}

/* One of the candidates; LLAMA_TOKEN_NULL: none is possible. */
static llama_token choose(const struct sampler *s, llama_token_data_array *from)
{
    if (from->size == 0)
        return LLAMA_TOKEN_NULL;
    from->selected = 0;
    if (s->draw)
        llama_sampler_apply(s->draw, from);
    if (from->selected < 0 || (size_t)from->selected >= from->size ||
        !isfinite(from->data[from->selected].logit))
        return LLAMA_TOKEN_NULL;
    return from->data[from->selected].id;
}

/* --- grammar --------------------------------------------------------------------- */

static bool grammar_allows(const struct sampler *s, llama_token token)
{
    llama_token_data one = { .id = token };
    llama_token_data_array array = { .data = &one, .size = 1, .selected = -1 };
    llama_sampler_apply(s->grammar, &array);
    return one.logit != -INFINITY;
}

/* Leave the candidates that the grammar allows, in their order. */
static void filter(const struct sampler *s, llama_token_data_array *c)
{
    size_t kept = 0;
    llama_sampler_apply(s->grammar, c);
    for (size_t i = 0; i < c->size; i++)
        if (c->data[i].logit != -INFINITY)
            c->data[kept++] = c->data[i];
    c->size = kept;
}

/* `kept` were left of the best tokens, the last of which had `least`: can the others be
 * left out? */
static bool enough(const struct sampler *s, const llama_token_data_array *kept, float least)
{
    size_t wanted = (size_t)(s->top_k ? s->top_k : s->n_vocab);
    if (kept->size >= wanted)
        return true;
    if (kept->size == 0)
        return false;
    double warmth = s->temperature > 1 ? s->temperature : 1;
    double each = exp((double)(least - kept->data[0].logit) / warmth);
    return each * (double)(wanted - kept->size) < negligible;
}

/* The candidates that the grammar leaves. */
static void gather_allowed(const struct sampler *s, const float *logits,
                           llama_token_data_array *ret)
{
    if (s->n_vocab > GRAMMAR_LOOKS_AT) {
        take_top(s, logits, GRAMMAR_LOOKS_AT, ret); /* gather() has seen that there is no NaN */
        float least = ret->data[GRAMMAR_LOOKS_AT - 1].logit;
        filter(s, ret);
        if (enough(s, ret, least)) {
            shorten(s, ret);
            return;
        }
    }
    take_all(s, logits, ret);
    filter(s, ret);
    if (ret->size)
        shorten(s, ret);
}

static llama_token choose_allowed(const struct sampler *s, const float *logits,
                                  llama_token_data *scratch)
{
    llama_token_data_array allowed = { .data = scratch, .selected = -1 };
    gather_allowed(s, logits, &allowed);
    return choose(s, &allowed);
}

/* --- a token ---------------------------------------------------------------------- */

static void remember(struct penalties *p, llama_token token)
{
    p->recent[p->n_taken++ % PENALTY_TOKENS] = token;
}

/* Of this thread alone, whatever else the machine does. */
static int64_t thread_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static enum err account(struct sampler *s, int64_t spent_us, struct error *error)
{
    size_t n = s->penalties.n_taken + 1;
    s->grammar_us += spent_us;
    if (spent_us <= GRAMMAR_STEP_US && s->grammar_us <= GRAMMAR_US + GRAMMAR_TOKEN_US * (int64_t)n)
        return OK;
    return fail(error, ERR_INVALID_REQUEST,
                "the grammar leaves too many ways to go on: %lld ms for %zu tokens",
                (long long)s->grammar_us / 1000, n);
}

/* The token, if the grammar allows it, or one that it does. */
static enum err heed_grammar(struct sampler *s, const float *logits, llama_token_data *scratch,
                             llama_token *token, struct error *error)
{
    int64_t began = thread_us();
    if (!grammar_allows(s, *token))
        *token = choose_allowed(s, logits, scratch);
    if (*token == LLAMA_TOKEN_NULL)
        return fail(error, ERR_INVALID_REQUEST,
                    "the grammar can't go on: none of the model's tokens fits");
    llama_sampler_accept(s->grammar, *token);
    return account(s, thread_us() - began, error);
}

enum err sampler_next(struct sampler *s, float *logits, llama_token_data *scratch, llama_token *ret,
                      struct error *error)
{
    llama_token_data_array candidates = { .data = scratch, .selected = -1 };
    adjust(s, logits);
    if (!gather(s, logits, &candidates))
        return fail(error, ERR_INTERNAL, "the model computed what is no number; it may be damaged");
    llama_token token = choose(s, &candidates);
    if (token == LLAMA_TOKEN_NULL)
        return fail(error, ERR_INTERNAL, "the model computed no finite number; it may be damaged");
    if (s->grammar) {
        enum err e = heed_grammar(s, logits, scratch, &token, error);
        if (e)
            return e;
    }
    remember(&s->penalties, token);
    *ret = token;
    return OK;
}
