/*
 * company.c - do a token's logits depend on what else is in the pass?
 *
 *     inferd-company --module libggml-cpu-haswell.so --model M.gguf
 *
 * A sequence is computed twice with libllama: by itself, its prompt read at once, and as one
 * row of passes that have rows of other sequences beside it, its prompt read in pieces.  Both
 * times its past is the same, token for token, so whatever differs comes from sums in another
 * order.  A greedy choice turns out otherwise where the best two tokens lie closer together
 * than that.
 */
#include <errno.h>
#include <getopt.h>
#include <ggml-backend.h>
#include <llama.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum {
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    PROMPT = 64, /* tokens */
    ROWS_MAX = 64,
};

static const char usage[] =
    "usage: inferd-company --module PATH --model PATH [options]\n"
    "\n"
    "  --module PATH      ggml's module for this CPU, libggml-cpu-VARIANT.so\n"
    "  --model PATH       a GGUF\n"
    "  --rows N           of a pass that writes in company, 1 to 64 (default 16)\n"
    "  --piece N          of a prompt that is read in company, in tokens (default: all of 64)\n"
    "  --prompts N        (default 16)\n"
    "  --tokens N         of each answer (default 64)\n"
    "  --threads N        (default 2)\n"
    "  --no-flash         without flash attention\n"
    "  --help\n"
    "\n"
    "Tells how far the best token is ahead of the second, how much of that changes, and how\n"
    "many greedy choices are others for it.\n"
    "Exit codes: 0 done, 1 it can't be, 2 wrong usage.\n";

struct options {
    const char *module, *model;
    int64_t rows, piece, prompts, tokens, threads;
    int no_flash;
};

struct company {
    struct llama_model *model;
    struct llama_context *alone, *among;
    struct llama_batch batch;
    int32_t n_vocab;
    float *logits;       /* of the one that is alone */
    double *lead;        /* of the best over the second, for each choice */
    double *change;      /* of that, in company */
    size_t n, n_flipped; /* choices */
};

/* --- computing ------------------------------------------------------------------------ */

static llama_token some_token(const struct company *c, unsigned *seed)
{
    return (llama_token)(rand_r(seed) % c->n_vocab);
}

static void put(struct llama_batch *batch, llama_token token, llama_pos at, llama_seq_id seq)
{
    int32_t i = batch->n_tokens++;
    batch->token[i] = token;
    batch->pos[i] = at;
    batch->n_seq_id[i] = 1;
    batch->seq_id[i][0] = seq;
    batch->logits[i] = seq == 0;
}

static enum err decode(struct company *c, struct llama_context *context, struct error *error)
{
    int32_t failed = llama_decode(context, c->batch);
    c->batch.n_tokens = 0;
    return failed ? fail(error, ERR_INTERNAL, "llama.cpp says %d", failed) : OK;
}

/* A prompt for each sequence, read one after the other, `piece` tokens at a time. */
static enum err read_prompts(struct company *c, struct llama_context *context, int64_t rows,
                             int64_t piece, unsigned seed, struct error *error)
{
    enum err e = OK;
    llama_memory_clear(llama_get_memory(context), false);
    for (llama_seq_id seq = 0; !e && seq < rows; seq++) {
        for (llama_pos at = 0; !e && at < PROMPT; at++) {
            put(&c->batch, some_token(c, &seed), at, seq);
            if (c->batch.n_tokens == piece || at + 1 == PROMPT)
                e = decode(c, context, error);
        }
    }
    return e;
}

/* --- comparing -------------------------------------------------------------------------- */

/* The best two of all tokens. */
static void best_two(const float *logits, int32_t n, int32_t best[2])
{
    best[0] = logits[1] > logits[0];
    best[1] = !best[0];
    for (int32_t i = 2; i < n; i++) {
        if (logits[i] > logits[best[0]]) {
            best[1] = best[0];
            best[0] = i;
        } else if (logits[i] > logits[best[1]]) {
            best[1] = i;
        }
    }
}

static llama_token compare(struct company *c, const float *among)
{
    int32_t best[2], other[2];
    best_two(c->logits, c->n_vocab, best);
    best_two(among, c->n_vocab, other);
    c->lead[c->n] = (double)c->logits[best[0]] - c->logits[best[1]];
    c->change[c->n] = fabs(c->lead[c->n] - ((double)among[best[0]] - among[best[1]]));
    c->n_flipped += best[0] != other[0];
    c->n++;
    return best[0];
}

static enum err one_prompt(struct company *c, const struct options *o, unsigned seed,
                           struct error *error)
{
    enum err e = read_prompts(c, c->alone, 1, PROMPT, seed, error);
    if (!e)
        e = read_prompts(c, c->among, o->rows, o->piece, seed, error);
    llama_token token = some_token(c, &seed);
    for (llama_pos at = PROMPT; !e && at < PROMPT + o->tokens; at++) {
        put(&c->batch, token, at, 0);
        e = decode(c, c->alone, error);
        if (e)
            break;
        memcpy(c->logits, llama_get_logits_ith(c->alone, 0),
               (size_t)c->n_vocab * sizeof *c->logits);
        put(&c->batch, token, at, 0);
        for (llama_seq_id seq = 1; seq < o->rows; seq++)
            put(&c->batch, some_token(c, &seed), at, seq);
        e = decode(c, c->among, error);
        if (!e)
            token = compare(c, llama_get_logits_ith(c->among, 0));
    }
    return e;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(struct company *c)
{
    qsort(c->lead, c->n, sizeof *c->lead, ascending);
    qsort(c->change, c->n, sizeof *c->change, ascending);
    printf("the best token leads by  %.2e (median), %.2e (one in a hundred by less)\n"
           "which changes by         %.2e (median), %.2e (most)\n"
           "greedy choices           %zu of %zu are others\n",
           c->lead[c->n / 2], c->lead[c->n / 100], c->change[c->n / 2], c->change[c->n - 1],
           c->n_flipped, c->n);
}

/* --- the library ------------------------------------------------------------------------- */

static void say_nothing(enum ggml_log_level level UNUSED, const char *text UNUSED,
                        void *context UNUSED)
{
}

static struct llama_context *open_context(const struct company *c, const struct options *o,
                                          int64_t rows)
{
    struct llama_context_params params = llama_context_default_params();
    params.n_seq_max = (uint32_t)rows;
    params.n_ctx = (uint32_t)(rows * (PROMPT + o->tokens));
    params.n_threads = params.n_threads_batch = (int32_t)o->threads;
    params.kv_unified = false;
    params.no_perf = true;
    if (o->no_flash)
        params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    return llama_init_from_model(c->model, params);
}

static enum err company_open(struct company *c, const struct options *o, struct error *error)
{
    llama_log_set(say_nothing, NULL);
    if (!ggml_backend_load(o->module))
        return fail(error, ERR_CONFIG, "CPU module '%s' can't be loaded", o->module);
    c->model = llama_model_load_from_file(o->model, llama_model_default_params());
    if (!c->model)
        return fail(error, ERR_CONFIG, "'%s' can't be loaded", o->model);
    c->n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(c->model));
    c->alone = open_context(c, o, 1);
    c->among = open_context(c, o, o->rows);
    if (!c->alone || !c->among || c->n_vocab < 2)
        return fail(error, ERR_CONFIG, "no context for '%s'", o->model);
    c->batch = llama_batch_init(PROMPT > ROWS_MAX ? (int32_t)PROMPT : (int32_t)ROWS_MAX, 0, 1);
    size_t n = (size_t)(o->prompts * o->tokens);
    c->logits = calloc((size_t)c->n_vocab, sizeof *c->logits);
    c->change = calloc(n, sizeof *c->change);
    c->lead = calloc(n, sizeof *c->lead);
    return c->batch.token && c->logits && c->change && c->lead
               ? OK
               : fail(error, ERR_NO_MEMORY, "there is no memory");
}

static void company_done(struct company *c)
{
    if (c->batch.token)
        llama_batch_free(c->batch);
    llama_free(c->alone);
    llama_free(c->among);
    llama_model_free(c->model);
    free(c->logits);
    free(c->change);
    free(c->lead);
}

/* --- the command line ---------------------------------------------------------------------- */

static bool read_number(const char *name, const char *text, int64_t lowest, int64_t highest,
                        int64_t *ret)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || end == text || *end || n < lowest || n > highest) {
        fprintf(stderr, "inferd-company: --%s is '%s'; it must be a number from %lld to %lld\n",
                name, text, (long long)lowest, (long long)highest);
        return false;
    }
    *ret = n;
    return true;
}

static bool read_options(int argc, char **argv, struct options *o)
{
    const struct option flags[] = {
        { "module", required_argument, NULL, 'M' },  { "model", required_argument, NULL, 'm' },
        { "rows", required_argument, NULL, 'r' },    { "piece", required_argument, NULL, 'c' },
        { "prompts", required_argument, NULL, 'p' }, { "tokens", required_argument, NULL, 'n' },
        { "threads", required_argument, NULL, 't' }, { "no-flash", no_argument, &o->no_flash, 1 },
        { "help", no_argument, NULL, 'h' },          { NULL, 0, NULL, 0 },
    };
    bool good = true;
    int c;
    while (good && (c = getopt_long(argc, argv, "", flags, NULL)) != -1) {
        switch (c) {
        case 'M':
            o->module = optarg;
            break;
        case 'm':
            o->model = optarg;
            break;
        case 'r':
            good = read_number("rows", optarg, 1, ROWS_MAX, &o->rows);
            break;
        case 'c':
            good = read_number("piece", optarg, 1, PROMPT, &o->piece);
            break;
        case 'p':
            good = read_number("prompts", optarg, 1, 10000, &o->prompts);
            break;
        case 'n':
            good = read_number("tokens", optarg, 1, 10000, &o->tokens);
            break;
        case 't':
            good = read_number("threads", optarg, 1, 512, &o->threads);
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        case 0:
            break;
        default:
            good = false;
        }
    }
    return good && o->module && o->model && optind == argc;
}

int main(int argc, char **argv)
{
    struct options options = {
        .rows = 16, .piece = PROMPT, .prompts = 16, .tokens = 64, .threads = 2
    };
    struct company company = { 0 };
    struct error error = { 0 };
    if (!read_options(argc, argv, &options)) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    enum err e = company_open(&company, &options, &error);
    for (int64_t i = 0; !e && i < options.prompts; i++)
        e = one_prompt(&company, &options, (unsigned)i + 1, &error);
    if (e)
        fprintf(stderr, "inferd-company: %s\n", error.message);
    else
        report(&company);
    company_done(&company);
    return e ? EXIT_FAILED : 0;
}
