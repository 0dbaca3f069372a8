/*
 * generate - ask the model and print its answer as it comes.
 *
 *     inferdctl generate [OPTION]... [PROMPT | -]
 *
 * The answer goes to standard output piece by piece; whatever else there is to say
 * goes to standard error.  An answer that does not end with a newline is given one.
 */
#include <limits.h>
#include <stdlib.h>

#include "base/base.h"
#include "command.h"
#include "inferd/client.h"
#include "interrupt.h"
#include "output.h"
#include "prompt.h"
#include "report.h"

enum { STOPS_MAX = 16, LOGIT_BIASES_MAX = 1024 };

enum {
    FLAG_SYSTEM,
    FLAG_MAX_TOKENS,
    FLAG_TEMPERATURE,
    FLAG_TOP_P,
    FLAG_TOP_K,
    FLAG_MIN_P,
    FLAG_REPEAT,
    FLAG_PRESENCE,
    FLAG_FREQUENCY,
    FLAG_LOGIT_BIAS,
    FLAG_SEED,
    FLAG_STOP,
    FLAG_GRAMMAR,
    FLAG_LATER,
    FLAG_SOCKET,
    FLAG_WAIT,
    FLAG_JSON,
    FLAG_VERBOSE,
};

static const struct flag flags[] = {
    [FLAG_SYSTEM] = { "--system", 0, "TEXT", "what the model is told before the prompt" },
    [FLAG_MAX_TOKENS] = { "--max-tokens", 0, "N", "the longest answer, in tokens" },
    [FLAG_TEMPERATURE] = { "--temperature", 0, "T", "0 to 2; 0 always takes the likeliest token" },
    [FLAG_TOP_P] = { "--top-p", 0, "P", "above 0, to 1: how much of the likely to choose from" },
    [FLAG_TOP_K] = { "--top-k", 0, "K", "choose from this many tokens; 0 from all" },
    [FLAG_MIN_P] = { "--min-p", 0, "P",
                     "0 to 1: leave out what is less likely than P times the best" },
    [FLAG_REPEAT] = { "--repeat-penalty", 0, "N", "0.01 to 10; above 1: less of what was there" },
    [FLAG_PRESENCE] = { "--presence-penalty", 0, "N", "-2 to 2: taken from all that was there" },
    [FLAG_FREQUENCY] = { "--frequency-penalty", 0, "N", "-2 to 2: the same, for each time" },
    [FLAG_LOGIT_BIAS] = { "--logit-bias", 0, "TOKEN=N",
                          "-100 to 100: more or less of a token; repeatable" },
    [FLAG_SEED] = { "--seed", 0, "N", "makes an answer repeatable" },
    [FLAG_STOP] = { "--stop", 0, "TEXT", "end the answer before TEXT; up to 16 times" },
    [FLAG_GRAMMAR] = { "--grammar", 0, "FILE", "a GBNF grammar that the answer must match" },
    [FLAG_LATER] = { "--later", 0, NULL, "let everybody else's questions go first" },
    [FLAG_SOCKET] = { "--socket", 0, "PATH", "the daemon's generation socket" },
    [FLAG_WAIT] = { "--wait", 0, "SECONDS", "how long to wait for the daemon; 30 if not given" },
    [FLAG_JSON] = { "--json", 0, NULL, "print the daemon's frames, one per line" },
    [FLAG_VERBOSE] = { "--verbose", 'v', NULL, "tell afterwards what the answer took" },
};

struct options {
    const char *system;
    const char *socket;
    char *grammar; /* owned */
    double wait_s;
    bool json;
    bool verbose;
    struct buf prompt;
    unsigned n_words; /* that it was made of */
    const char *stop[STOPS_MAX];
    struct inferd_logit_bias logit_bias[LOGIT_BIASES_MAX];
    struct inferd_request request;
};

/* False after a complaint; so the others. */
static bool add_stop(struct options *o, const char *text)
{
    if (o->request.n_stop == STOPS_MAX) {
        complain("--stop is there more than %d times", STOPS_MAX);
        return false;
    }
    o->stop[o->request.n_stop++] = text;
    return true;
}

/* "15=-100" */
static bool parse_logit_bias(const char *text, struct inferd_logit_bias *ret)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    unsigned long token = strtoul(text, &end, 10);
    if (token > INT32_MAX || *end != '=')
        return false;
    const char *number = end + 1;
    ret->token = (uint32_t)token;
    ret->bias = strtod(number, &end);
    return end != number && *end == '\0' && ret->bias >= -100 && ret->bias <= 100;
}

/* What is said last of a token counts. */
static bool add_logit_bias(struct options *o, const char *text)
{
    struct inferd_logit_bias bias;
    if (!parse_logit_bias(text, &bias)) {
        complain("--logit-bias is '%.80s'; it must be a token's number, '=', and from -100 to 100",
                 text);
        return false;
    }
    size_t i = 0;
    while (i < o->request.n_logit_bias && o->logit_bias[i].token != bias.token)
        i++;
    if (i == LOGIT_BIASES_MAX) {
        complain("--logit-bias is there more than %d times", LOGIT_BIASES_MAX);
        return false;
    }
    o->logit_bias[i] = bias;
    if (i == o->request.n_logit_bias)
        o->request.n_logit_bias++;
    return true;
}

static bool set(struct options *o, const struct args *args)
{
    struct inferd_request *r = &o->request;
    switch (args->flag) {
    case FLAG_SYSTEM:
        o->system = args->value;
        return true;
    case FLAG_MAX_TOKENS:
        return args_whole_number(args, INT32_MAX, &r->max_tokens);
    case FLAG_TEMPERATURE:
        return args_number(args, 0, 2, &r->temperature);
    case FLAG_TOP_P:
        return args_number(args, 0, 1, &r->top_p);
    case FLAG_TOP_K:
        return args_whole_number(args, INT32_MAX, &r->top_k);
    case FLAG_MIN_P:
        return args_number(args, 0, 1, &r->min_p);
    case FLAG_REPEAT:
        return args_number(args, 0.01, 10, &r->repeat_penalty);
    case FLAG_PRESENCE:
        return args_number(args, -2, 2, &r->presence_penalty);
    case FLAG_FREQUENCY:
        return args_number(args, -2, 2, &r->frequency_penalty);
    case FLAG_LOGIT_BIAS:
        return add_logit_bias(o, args->value);
    case FLAG_STOP:
        return add_stop(o, args->value);
    case FLAG_SEED:
        return args_whole_number(args, UINT32_MAX, &r->seed);
    case FLAG_GRAMMAR:
        free(o->grammar);
        return (o->grammar = prompt_file(args->value)) != NULL;
    case FLAG_LATER:
        r->priority = -1;
        return true;
    case FLAG_SOCKET:
        o->socket = args->value;
        return true;
    case FLAG_WAIT:
        return args_number(args, 0, INT_MAX / 1000, &o->wait_s);
    case FLAG_JSON:
        o->json = true;
        return true;
    case FLAG_VERBOSE:
        o->verbose = true;
        return true;
    }
    return true;
}

/* Reads the whole command line; false if the program is to end with `*ret_code`. */
static bool read_options(struct options *o, struct args *args, int *ret_code)
{
    *ret_code = TROUBLE;
    for (;;) {
        switch (args_next(args)) {
        case ARG_FLAG:
            if (!set(o, args))
                return false;
            break;
        case ARG_WORD:
            if (!prompt_add_word(&o->prompt, args->value))
                return false;
            o->n_words++;
            break;
        case ARG_END:
            return prompt_finish(&o->prompt, o->n_words);
        case ARG_STOP:
            *ret_code = args->exit_code;
            return false;
        }
    }
}

static int print_text(void *context, const char *text, size_t len)
{
    return !output_put(context, text, len);
}

static int print_frame(void *context, const char *json, size_t len)
{
    return !output_line(context, json, len);
}

/* How the request ended, in the program's own words and code. */
static int conclude(enum inferd_status status, const struct inferd_error *error,
                    const struct output *out)
{
    if (out->broken)
        return output_verdict(out, TROUBLE);
    if (status == INFERD_OK)
        return DONE;
    if (status == INFERD_CANCELLED)
        return interrupt_code();
    if (status == INFERD_REFUSED && error->retry_after_ms > 0)
        return complain_with(REFUSED, "%s (%s); try again in about %.1f s", error->message,
                             error->code, (double)error->retry_after_ms / 1000);
    if (status == INFERD_REFUSED)
        return complain_with(REFUSED, "%s (%s)", error->message, error->code);
    return complain_with(TROUBLE, "%s", error->message);
}

static int ask(const struct options *o, struct inferd_client *client)
{
    struct output out;
    struct inferd_request request = o->request;
    struct inferd_result result = { 0 };
    struct inferd_error error;
    output_init(&out, STDOUT_FILENO);
    request.context = &out;
    if (o->json)
        request.on_frame = print_frame;
    else
        request.on_text = print_text;

    interrupt_guard(client);
    enum inferd_status status = inferd_generate(client, &request, &result, &error);
    interrupt_guard(NULL);
    output_end_line(&out);
    if (status == INFERD_OK && o->verbose)
        report(&result, getenv("INFERD_ADMIN_ADDR"));
    inferd_result_done(&result);
    return conclude(status, &error, &out);
}

static int generate(struct options *o)
{
    struct inferd_message messages[2];
    size_t n = 0;
    if (o->system)
        messages[n++] = (struct inferd_message){ INFERD_SYSTEM, o->system };
    messages[n++] = (struct inferd_message){ INFERD_USER, o->prompt.at };
    o->request.messages = messages;
    o->request.n_messages = n;
    o->request.grammar = o->grammar;
    o->request.stop = o->stop;
    o->request.logit_bias = o->logit_bias;

    struct inferd_client *client;
    struct inferd_error error;
    int code;
    if (inferd_connect(o->socket, (int)(o->wait_s * 1000), &client, &error)) {
        code = complain_with(TROUBLE, "%s", error.message);
    } else {
        code = ask(o, client);
        inferd_close(client);
    }
    o->request.messages = NULL; /* they end with this function */
    return code;
}

static int run(struct args *args)
{
    struct options o = { .wait_s = 30, .request = INFERD_REQUEST_INIT };
    buf_init(&o.prompt, (size_t)PROMPT_BYTES_MAX);
    interrupt_install();
    int code;
    if (read_options(&o, args, &code))
        code = generate(&o);
    buf_done(&o.prompt);
    free(o.grammar);
    return code;
}

const struct command command_generate = {
    .name = "generate",
    .words = "[PROMPT | -]",
    .summary = "ask the model and print its answer as it comes",
    .help = "Asks the model and prints its answer as it comes.  The prompt is the arguments,\n"
            "joined by blanks; with \"-\", or without arguments where standard input is not a\n"
            "terminal, it is read from there.  Ctrl-C stops the answer.\n",
    .flags = flags,
    .n_flags = ARRAY_LEN(flags),
    .run = run,
};
