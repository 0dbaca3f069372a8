/*
 * probe.c - let libllama read a model and say a few facts about it.
 *
 *     mkmodel-probe MODEL TEXT COUNT
 *
 * Reads TEXT, decodes it, continues it greedily by COUNT tokens, and prints one
 * "name value" per line.  For the tests of mkmodel: what counts is whether libllama
 * agrees with what mkmodel meant to write.
 *
 *   tokens    how many there are in TEXT
 *   text      whether the tokens of TEXT spell TEXT again
 *   finite    whether every logit at every position is a finite number
 *   spread    standard deviation of the logits of text tokens at the last position
 *   margin    how far the best text token is above the best token that is no text,
 *             at the position where that is least
 *   template  bytes of the chat template
 *   said      the tokens of the continuation
 *
 * It computes with the CPU module that every machine can run.
 */
#include <limits.h>
#include <llama.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

struct facts {
    bool finite;
    double spread;
    double margin;
};

struct probe {
    struct llama_model *model;
    struct llama_context *context;
    const struct llama_vocab *vocab;
    int n_vocab;
    struct facts facts;
};

static void probe_done(struct probe *p)
{
    llama_free(p->context);
    llama_model_free(p->model);
}

static bool is_text(const struct probe *p, llama_token t)
{
    return !llama_vocab_is_eog(p->vocab, t) && !llama_vocab_is_control(p->vocab, t);
}

static void look(struct probe *p, const float *logits)
{
    double best_text = -INFINITY, best_silent = -INFINITY, sum = 0, squares = 0;
    int n = 0;

    for (llama_token t = 0; t < p->n_vocab; t++) {
        double x = logits[t];
        p->facts.finite = p->facts.finite && isfinite(x);
        if (!is_text(p, t)) {
            best_silent = fmax(best_silent, x);
            continue;
        }
        best_text = fmax(best_text, x);
        sum += x;
        squares += x * x;
        n++;
    }
    p->facts.spread = sqrt(squares / n - (sum / n) * (sum / n));
    p->facts.margin = fmin(p->facts.margin, best_text - best_silent);
}

static llama_token best(const struct probe *p, const float *logits)
{
    llama_token found = 0;
    for (llama_token t = 1; t < p->n_vocab; t++)
        if (logits[t] > logits[found])
            found = t;
    return found;
}

static enum err load_module(struct error *error)
{
    char directory[PATH_MAX], path[PATH_MAX];
    enum err e = program_directory(directory, sizeof directory, error);
    if (e != OK)
        return e;
    int n = snprintf(path, sizeof path, "%s/../lib/inferd/libggml-cpu-x64.so", directory);
    if (n >= (int)sizeof path || !ggml_backend_load(path))
        return fail(error, ERR_CONFIG, "cannot load '%s'", path);
    return OK;
}

static enum err open_model(struct probe *p, const char *path, unsigned n_tokens,
                           struct error *error)
{
    p->model = llama_model_load_from_file(path, llama_model_default_params());
    if (!p->model)
        return fail(error, ERR_CONFIG, "libllama cannot load '%s'", path);
    p->vocab = llama_model_get_vocab(p->model);
    p->n_vocab = llama_vocab_n_tokens(p->vocab);

    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = params.n_batch = n_tokens;
    params.n_threads = params.n_threads_batch = 1; /* small models, busy machines */
    p->context = llama_init_from_model(p->model, params);
    if (!p->context)
        return fail(error, ERR_CONFIG, "libllama cannot make a context of %u tokens", n_tokens);
    return OK;
}

/* Does the text survive the way through the tokenizer? */
static bool spells(const struct probe *p, const llama_token *tokens, int n, const char *text)
{
    int room = (int)strlen(text) + 1;
    CLEANUP(free_ptr) char *back = calloc((size_t)room + 1, 1);
    return back && llama_detokenize(p->vocab, tokens, n, back, room, false, true) >= 0 &&
           strcmp(back, text) == 0;
}

static enum err read_text(struct probe *p, const llama_token *tokens, int n, struct error *error)
{
    struct llama_batch batch = llama_batch_init(n, 0, 1);
    for (int i = 0; i < n; i++) {
        batch.token[i] = tokens[i];
        batch.pos[i] = i;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = true;
    }
    batch.n_tokens = n;
    int status = llama_decode(p->context, batch);
    llama_batch_free(batch);
    if (status != 0)
        return fail(error, ERR_INTERNAL, "llama_decode() of %d tokens says %d", n, status);
    for (int i = 0; i < n; i++)
        look(p, llama_get_logits_ith(p->context, i));
    return OK;
}

static enum err say(struct probe *p, int count, struct error *error)
{
    printf("said");
    for (int i = 0; i < count; i++) {
        llama_token next = best(p, llama_get_logits_ith(p->context, -1));
        printf(" %d", next);
        if (llama_decode(p->context, llama_batch_get_one(&next, 1)) != 0)
            return fail(error, ERR_INTERNAL, "llama_decode() of token %d failed", i);
        look(p, llama_get_logits_ith(p->context, -1));
    }
    printf("\n");
    return OK;
}

static enum err run(const char *path, const char *text, int count, struct error *error)
{
    CLEANUP(probe_done) struct probe p = { .facts = { .finite = true, .margin = INFINITY } };
    int room = (int)strlen(text) + 2;
    CLEANUP(free_ptr) llama_token *tokens = calloc((size_t)room, sizeof *tokens);
    enum err e;

    if (!tokens)
        return fail_nomem(error);
    if ((e = load_module(error)) != OK)
        return e;
    if ((e = open_model(&p, path, (unsigned)(room + count), error)) != OK)
        return e;
    int n = llama_tokenize(p.vocab, text, (int)strlen(text), tokens, room, false, true);
    if (n <= 0)
        return fail(error, ERR_CONFIG, "TEXT gives no tokens");
    printf("tokens %d\ntext %d\n", n, spells(&p, tokens, n, text));
    if ((e = read_text(&p, tokens, n, error)) != OK || (e = say(&p, count, error)) != OK)
        return e;

    const char *template = llama_model_chat_template(p.model, NULL);
    printf("finite %d\nspread %g\nmargin %g\ntemplate %zu\n", p.facts.finite, p.facts.spread,
           p.facts.margin, template ? strlen(template) : 0);
    return OK;
}

static void ignore_log(enum ggml_log_level level UNUSED, const char *text UNUSED, void *data UNUSED)
{
}

/* 0 if it is no number from 1 to 10000. */
static int read_count(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);
    return *end || n < 1 || n > 10000 ? 0 : (int)n;
}

int main(int argc, char **argv)
{
    struct error error;
    int count = argc == 4 ? read_count(argv[3]) : 0;

    if (count == 0) {
        fprintf(stderr, "usage: mkmodel-probe MODEL TEXT COUNT (1 to 10000)\n");
        return 2;
    }
    llama_log_set(ignore_log, NULL);
    if (run(argv[1], argv[2], count, &error) != OK) {
        fprintf(stderr, "mkmodel-probe: %s\n", error.message);
        return 1;
    }
    return 0;
}
