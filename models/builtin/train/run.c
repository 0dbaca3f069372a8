/*
 * run.c - asks a model through libllama, greedily.
 *
 *     run MODEL CPU-MODULE [answer | tokens] < texts > results
 *
 * The input is texts, each ended by a NUL.  `answer` continues each text from an
 * empty cache until the model ends its turn, and writes "." (ended by itself) or
 * "!" (had to be stopped), what it said, and a NUL.  `tokens` writes the token ids
 * that libllama sees in each text, and a NUL.
 *
 * The CPU module is named by its path: a search for modules would also look into
 * the current directory.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ggml-backend.h>
#include <llama.h>

enum { CONTEXT = 1024, LONGEST_ANSWER = 200, LONGEST_PIECE = 256 };

static void die(const char *what)
{
    fprintf(stderr, "run: %s\n", what);
    exit(1);
}

static void only_errors(enum ggml_log_level level, const char *text, void *unused)
{
    (void)unused;
    if (level >= GGML_LOG_LEVEL_ERROR && level != GGML_LOG_LEVEL_CONT)
        fputs(text, stderr);
}

static llama_token best_of(const float *logits, int n)
{
    llama_token best = 0;
    for (llama_token i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

static void answer(struct llama_context *ctx, const struct llama_vocab *vocab, llama_token *tokens,
                   int n)
{
    char said[LONGEST_ANSWER * LONGEST_PIECE];
    int len = 0;
    bool ended = false;

    llama_memory_clear(llama_get_memory(ctx), true);
    struct llama_batch batch = llama_batch_get_one(tokens, n);
    for (int i = 0; i < LONGEST_ANSWER && n + i < CONTEXT; i++) {
        if (llama_decode(ctx, batch) != 0)
            die("llama_decode failed");
        llama_token next = best_of(llama_get_logits_ith(ctx, -1), llama_vocab_n_tokens(vocab));
        ended = llama_vocab_is_eog(vocab, next);
        if (ended)
            break;
        int piece = llama_token_to_piece(vocab, next, said + len, LONGEST_PIECE, 0, true);
        if (piece < 0)
            die("a token is longer than expected");
        len += piece;
        tokens[0] = next;
        batch = llama_batch_get_one(tokens, 1);
    }
    putchar(ended ? '.' : '!');
    fwrite(said, 1, (size_t)len, stdout);
    putchar('\0');
}

static void print_tokens(const llama_token *tokens, int n)
{
    for (int i = 0; i < n; i++)
        printf("%s%d", i ? " " : "", tokens[i]);
    putchar('\0');
}

int main(int argc, char **argv)
{
    if (argc != 4 || (strcmp(argv[3], "answer") != 0 && strcmp(argv[3], "tokens") != 0))
        die("usage: run MODEL CPU-MODULE answer|tokens");
    bool answering = strcmp(argv[3], "answer") == 0;

    llama_log_set(only_errors, NULL);
    if (!ggml_backend_load(argv[2]))
        die("cannot load the CPU module");
    struct llama_model_params model_params = llama_model_default_params();
    model_params.vocab_only = !answering;
    struct llama_model *model = llama_model_load_from_file(argv[1], model_params);
    if (!model)
        die("cannot load the model");
    const struct llama_vocab *vocab = llama_model_get_vocab(model);

    struct llama_context *ctx = NULL;
    if (answering) {
        struct llama_context_params params = llama_context_default_params();
        params.n_ctx = CONTEXT;
        params.n_batch = CONTEXT;
        params.n_threads = params.n_threads_batch = 1;
        ctx = llama_init_from_model(model, params);
        if (!ctx)
            die("cannot make a context");
    }

    char *text = NULL;
    size_t room = 0;
    ssize_t len;
    while ((len = getdelim(&text, &room, '\0', stdin)) > 0) {
        len -= text[len - 1] == '\0';
        int most = (int)len + 16;
        llama_token *tokens = malloc((size_t)most * sizeof *tokens);
        if (!tokens)
            die("no memory");
        int n = llama_tokenize(vocab, text, (int32_t)len, tokens, most, false, true);
        if (n < 0 || (answering && (n == 0 || n >= CONTEXT)))
            die("a text does not fit");
        if (answering)
            answer(ctx, vocab, tokens, n);
        else
            print_tokens(tokens, n);
        free(tokens);
    }

    free(text);
    llama_free(ctx);
    llama_model_free(model);
    return 0;
}
