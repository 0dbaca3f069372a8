/*
 * bare.c - the same requests through libllama alone, in one process.
 *
 *     inferd-bare --module libggml-cpu-haswell.so --model M.gguf --words 120
 *
 * What one stream can reach at most: no daemon, no socket, no text on the way back.
 * Each request is rendered with the model's own template, read from an empty cache,
 * and answered one token at a time with the sampler that the servers are asked for.
 * Prompts and figures are those of inferd-load, so the two can be put side by side.
 */
#include <errno.h>
#include <getopt.h>
#include <ggml-backend.h>
#include <llama.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "prompt.h"
#include "tally.h"

enum {
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    MESSAGES_MAX = 4,
    BATCH = 512,
    TEXT_MAX = 1024 * 1024,
};

static const char usage[] =
    "usage: inferd-bare --module PATH --model PATH [options]\n"
    "\n"
    "  --module PATH      ggml's module for this CPU, libggml-cpu-VARIANT.so\n"
    "  --model PATH       a GGUF\n"
    "  --requests N       how many, one after another (default 6)\n"
    "  --words N          of a prompt (default 120)\n"
    "  --max-tokens N     of an answer (default 64)\n"
    "  --context N        in tokens (default 1024)\n"
    "  --threads N        (default 2)\n"
    "  --salt N           another number asks for other words (default 0)\n"
    "  --help\n"
    "\n"
    "Prints one JSON object with the keys of inferd-load --json.\n"
    "Exit codes: 0 all were answered, 1 one was not, 2 wrong usage.\n";

static int64_t clock_ns(void)
{
    return clock_us() * 1000;
}

struct options {
    const char *module, *model;
    int64_t requests, words, max_tokens, context, threads, salt;
};

struct bench {
    struct llama_model *model;
    struct llama_context *context;
    const struct llama_vocab *vocab;
    struct llama_sampler *sampler;
    llama_token *tokens; /* of one prompt; as many as the context has room for */
    int32_t n_context;
    struct tally tally;
};

/* --- a prompt's tokens -------------------------------------------------------------- */

static enum err render(struct bench *b, const json_t *messages, struct buf *out,
                       struct error *error)
{
    struct llama_chat_message chat[MESSAGES_MAX];
    size_t n = json_array_size(messages);
    size_t length = 256;
    if (n > MESSAGES_MAX)
        return fail(error, ERR_INTERNAL, "%zu messages; at most %d", n, MESSAGES_MAX);
    for (size_t i = 0; i < n; i++) {
        const json_t *message = json_array_get(messages, i);
        chat[i].role = json_string_value(json_object_get(message, "role"));
        chat[i].content = json_string_value(json_object_get(message, "content"));
        length += strlen(chat[i].content) + 64;
    }
    enum err e = buf_reserve(out, length);
    if (e)
        return fail(error, e, "there is no memory for a prompt of %zu bytes", length);
    int32_t written = llama_chat_apply_template(llama_model_chat_template(b->model, NULL), chat, n,
                                                true, out->at, (int32_t)length);
    if (written < 0 || (size_t)written > length)
        return fail(error, ERR_INTERNAL, "the model's template can't be applied");
    out->len = (size_t)written;
    return OK;
}

static enum err read_prompt(struct bench *b, const struct shape *shape, uint64_t serial,
                            int32_t *ret_n, struct error *error)
{
    CLEANUP(buf_done) struct buf line = { .max = TEXT_MAX };
    CLEANUP(buf_done) struct buf text = { .max = TEXT_MAX };
    CLEANUP(json_drop) json_t *root = NULL;
    enum err e = buf_append_str(&line, "{");
    if (!e)
        e = prompt_put_messages(shape, serial, &line);
    if (!e)
        e = buf_append_str(&line, "}");
    if (!e && !(root = json_loadb(line.at, line.len, 0, NULL)))
        e = ERR_NO_MEMORY;
    if (e)
        return fail(error, e, "a prompt can't be made");
    e = render(b, json_object_get(root, "messages"), &text, error);
    if (e)
        return e;
    *ret_n =
        llama_tokenize(b->vocab, text.at, (int32_t)text.len, b->tokens, b->n_context, true, true);
    if (*ret_n <= 0)
        return fail(error, ERR_INVALID_REQUEST, "the prompt has %d tokens; there is room for %d",
                    -*ret_n, b->n_context);
    return OK;
}

/* --- an answer ---------------------------------------------------------------------- */

static enum err decode(struct bench *b, llama_token *tokens, int32_t n, struct error *error)
{
    for (int32_t at = 0; at < n; at += BATCH) {
        int32_t some = n - at < BATCH ? n - at : BATCH;
        int32_t failed = llama_decode(b->context, llama_batch_get_one(tokens + at, some));
        if (failed)
            return fail(error, ERR_INTERNAL, "llama.cpp says %d", failed);
    }
    return OK;
}

static enum err answer(struct bench *b, const struct shape *shape, uint64_t serial,
                       struct error *error)
{
    int32_t n = 0;
    int64_t began = clock_ns();
    llama_memory_clear(llama_get_memory(b->context), false);
    enum err e = read_prompt(b, shape, serial, &n, error);
    if (!e)
        e = decode(b, b->tokens, n, error);
    int64_t before = 0;
    for (uint32_t i = 0; !e && i < shape->max_tokens; i++) {
        llama_token token = llama_sampler_sample(b->sampler, b->context, -1);
        int64_t now = clock_ns();
        e = i == 0 ? samples_add(&b->tally.first, now - began)
                   : samples_add(&b->tally.gaps, now - before);
        before = now;
        b->tally.tokens++;
        if (!e && i + 1 < shape->max_tokens)
            e = decode(b, &token, 1, error);
    }
    return e ? e : samples_add(&b->tally.whole, clock_ns() - began);
}

static enum err answer_all(struct bench *b, const struct options *o, struct error *error)
{
    struct shape shape = { .words = (uint32_t)o->words,
                           .systems = 1,
                           .salt = (uint64_t)o->salt,
                           .max_tokens = (uint32_t)o->max_tokens };
    enum err e = OK;
    int64_t began = clock_ns();
    for (int64_t i = 0; !e && i < o->requests; i++)
        e = answer(b, &shape, (uint64_t)i, error);
    b->tally.elapsed_ns = clock_ns() - began;
    return e;
}

/* --- the library --------------------------------------------------------------------- */

static void say_nothing(enum ggml_log_level level UNUSED, const char *text UNUSED,
                        void *context UNUSED)
{
}

static enum err open_model(struct bench *b, const struct options *o, struct error *error)
{
    llama_log_set(say_nothing, NULL);
    if (!ggml_backend_load(o->module))
        return fail(error, ERR_CONFIG, "CPU module '%s' can't be loaded", o->module);
    b->model = llama_model_load_from_file(o->model, llama_model_default_params());
    if (!b->model)
        return fail(error, ERR_CONFIG, "'%s' can't be loaded", o->model);
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = (uint32_t)o->context;
    params.n_batch = params.n_ubatch = BATCH;
    params.n_threads = params.n_threads_batch = (int32_t)o->threads;
    params.no_perf = true;
    b->context = llama_init_from_model(b->model, params);
    if (!b->context)
        return fail(error, ERR_CONFIG, "no context of %u tokens for '%s'", params.n_ctx, o->model);
    b->vocab = llama_model_get_vocab(b->model);
    b->n_context = (int32_t)o->context;
    b->tokens = calloc((size_t)o->context, sizeof *b->tokens);
    return b->tokens ? OK : fail(error, ERR_NO_MEMORY, "there is no memory");
}

/* What the servers are asked for: temperature 1, top_k 64, top_p 0.95. */
static enum err open_sampler(struct bench *b, const struct options *o, struct error *error)
{
    b->sampler = llama_sampler_chain_init(llama_sampler_chain_default_params());
    if (!b->sampler)
        return fail(error, ERR_NO_MEMORY, "there is no memory");
    llama_sampler_chain_add(b->sampler, llama_sampler_init_top_k(64));
    llama_sampler_chain_add(b->sampler, llama_sampler_init_top_p(0.95f, 1));
    llama_sampler_chain_add(b->sampler, llama_sampler_init_dist((uint32_t)o->salt));
    return OK;
}

static void bench_done(struct bench *b)
{
    llama_sampler_free(b->sampler);
    llama_free(b->context);
    llama_model_free(b->model);
    free(b->tokens);
    tally_done(&b->tally);
}

static enum err bench_run(struct bench *b, const struct options *o, struct error *error)
{
    CLEANUP(buf_done) struct buf out = { .max = TEXT_MAX };
    struct run run = { .protocol = "libllama",
                       .connections = 1,
                       .max_tokens = (unsigned)o->max_tokens };
    enum err e = open_model(b, o, error);
    if (!e)
        e = open_sampler(b, o, error);
    if (!e)
        e = answer_all(b, o, error);
    if (!e && tally_put_json(&b->tally, &run, &out) != OK)
        e = fail(error, ERR_NO_MEMORY, "there is no memory");
    if (!e)
        fwrite(out.at, 1, out.len, stdout);
    return e;
}

/* --- the command line ------------------------------------------------------------------ */

static bool read_number(const char *name, const char *text, int64_t highest, int64_t *ret)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || end == text || *end || n < 0 || n > highest) {
        fprintf(stderr, "inferd-bare: --%s is '%s'; it must be a number up to %lld\n", name, text,
                (long long)highest);
        return false;
    }
    *ret = n;
    return true;
}

static bool read_options(int argc, char **argv, struct options *o)
{
    static const struct option flags[] = {
        { "module", required_argument, NULL, 'M' },
        { "model", required_argument, NULL, 'm' },
        { "requests", required_argument, NULL, 'r' },
        { "words", required_argument, NULL, 'w' },
        { "max-tokens", required_argument, NULL, 'n' },
        { "context", required_argument, NULL, 'c' },
        { "threads", required_argument, NULL, 't' },
        { "salt", required_argument, NULL, 's' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    int64_t ignored;
    int c, at;
    while ((c = getopt_long(argc, argv, "", flags, &at)) != -1) {
        int64_t *number = c == 'r'   ? &o->requests
                          : c == 'w' ? &o->words
                          : c == 'n' ? &o->max_tokens
                          : c == 'c' ? &o->context
                          : c == 't' ? &o->threads
                          : c == 's' ? &o->salt
                                     : &ignored;
        if (c == 'h') {
            fputs(usage, stdout);
            exit(0);
        } else if (c == 'M') {
            o->module = optarg;
        } else if (c == 'm') {
            o->model = optarg;
        } else if (c == '?' || !read_number(flags[at].name, optarg, INT32_MAX, number)) {
            return false;
        }
    }
    return o->module && o->model && optind == argc && o->threads > 0 && o->context > 0;
}

int main(int argc, char **argv)
{
    struct options options = {
        .requests = 6, .words = 120, .max_tokens = 64, .context = 1024, .threads = 2
    };
    struct bench bench = { 0 };
    struct error error = { 0 };
    if (!read_options(argc, argv, &options)) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    enum err e = bench_run(&bench, &options, &error);
    if (e)
        fprintf(stderr, "inferd-bare: %s\n", error.message);
    bench_done(&bench);
    return e ? EXIT_FAILED : 0;
}
