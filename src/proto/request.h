/*
 * request.h - the plain data of a request: what is asked, and what came of it.
 *
 * No states, no owners, no protocol.  A surface of `wire` fills it from whatever
 * its clients send, the engine protocol carries it, an engine reads it.  Text is
 * borrowed from `tree`, the parsed JSON it came from, so that a prompt of many
 * megabytes is never copied on the way.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"

enum {
    /* What a client may send in one frame, and an answer may grow to. */
    REQUEST_BYTES_MAX = 64 * 1024 * 1024,
    ANSWER_BYTES_MAX = 16 * 1024 * 1024,

    GRAMMAR_BYTES_MAX = 64 * 1024,
    GRAMMAR_ALTERNATIVES_MAX = 4096, /* '|' characters */

    STOPS_MAX = 16,
    STOP_BYTES_MAX = 256,
    LOGIT_BIASES_MAX = 1024,
};

enum role { ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT };

/* "user"; the names are the same on every wire. */
const char *role_name(enum role role);
bool role_from_name(const char *name, enum role *ret_role);

struct message {
    enum role role;
    struct slice content; /* UTF-8 without NUL; may be empty */
};

/* Who asks, as far as an engine must know it: what it keeps of one asker's prompt is not to
 * be felt by another. */
struct asker {
    uint32_t uid;     /* UINT32_MAX where nobody attests it */
    uint32_t program; /* a number for the caller's executable within that; 0: unknown */
};

/* What is added to the model's number for a token. */
struct logit_bias {
    uint32_t token;
    float bias; /* -100..100 */
};

/* What a generation is asked to do. */
struct generate {
    struct asker asker;
    struct message *messages; /* at least one; owned */
    size_t n_messages;
    double temperature;       /* 0..2; 0 is greedy */
    double top_p;             /* above 0, at most 1 */
    uint32_t top_k;           /* 0 is off */
    double min_p;             /* 0..1, of the likeliest token's probability; 0 is off */
    double repeat_penalty;    /* 0.01..10; 1 is off */
    double presence_penalty;  /* -2..2; 0 is off */
    double frequency_penalty; /* -2..2; 0 is off */
    uint32_t max_tokens;      /* at least 1 */
    bool has_seed;            /* false: the engine draws one */
    uint32_t seed;
    struct slice grammar;         /* GBNF; empty is none */
    struct slice stop[STOPS_MAX]; /* the answer ends before any of these */
    size_t n_stop;
    struct logit_bias *logit_bias; /* owned; no token twice */
    size_t n_logit_bias;
    json_t *tree; /* holds the text; owned */
};

/* No messages, and the defaults of every surface: temperature 1.0, top_p 0.95,
 * top_k 64, max_tokens 1000; everything else off; asked by nobody. */
void generate_init(struct generate *g);
void generate_done(struct generate *g);

enum stop_reason {
    STOP_END,    /* the model ended its turn */
    STOP_LENGTH, /* max_tokens, the context or ANSWER_BYTES_MAX */
    STOP_CANCELLED,
    STOP_ERROR,
};

/* What came of it. */
struct outcome {
    enum stop_reason stop;
    uint64_t prompt_tokens;
    uint64_t completion_tokens;
    uint64_t cached_tokens; /* of prompt_tokens, how many needed no work */
    double queue_ms;        /* waiting for a slot; the daemon's to fill */
    double prompt_ms;       /* reading the prompt */
    double first_token_ms;  /* from the slot to the first token */
    double generate_ms;     /* from the first token to the last */
};

/* What one that is refused for want of room can go by. */
struct crowd {
    size_t queue_depth;      /* how many may wait */
    uint32_t retry_after_ms; /* when there may be room, as far as can be told */
};

/* Tokens per second after the prompt was read; 0 if that can't be said. */
double outcome_speed(const struct outcome *o);

enum text_kind { TEXT_ANSWER, TEXT_THINKING };

/* What a backend can do, as its engine says when it is ready. */
struct capabilities {
    bool v2, vision, audio, tools, thinking, embed, rerank, grammar;
    char accelerator[16]; /* "cpu" */
    char device[64];      /* what computes, by its own name; "" unknown */
    int gpu_layers;
    uint32_t threads; /* that decode, and that read prompts; 0: there are none to speak of */
    uint32_t batch_threads;
    char cpu_variant[64]; /* ggml's name for it, "haswell"; "" if there is none */
    char sandbox[96];     /* what the engine has locked itself into; "" if it never says */
    char model[128];      /* the name in the model's metadata; "" if there is none */
    uint32_t n_ctx;       /* tokens per request; 0 if there is no such limit */
    uint32_t slots;       /* requests that run at a time */
    char kv[16];          /* how slots share the context, "streams"; "" if there is none */
    char prefixes[16];    /* where a prompt may leave what was computed before: "anywhere" */
};

/* clang-format off */
#define NEED_LIST(X)                                                              \
    X(TEXT,    "text")    /* an answer in words: what only embeds or reranks has none */ \
    X(GRAMMAR, "grammar")                                                         \
    X(TOOLS,   "tools")                                                           \
    X(VISION,  "vision")                                                          \
    X(AUDIO,   "audio")                                                           \
    X(EMBED,   "embed")                                                           \
    X(RERANK,  "rerank")
/* clang-format on */

/* What a request needs of the backend that serves it, as bits of a mask. */
enum need {
#define X(name, text) NEED_INDEX_##name,
    NEED_LIST(X)
#undef X
#define X(name, text) NEED_##name = 1 << NEED_INDEX_##name,
        NEED_LIST(X)
#undef X
#define X(name, text) +1
            NEED_MASKS = 1 << (0 NEED_LIST(X)), /* so many there are, and each is less */
#undef X
};

unsigned generate_needs(const struct generate *g);

/* Those of `needs` that such a backend has not. */
unsigned capabilities_lack(const struct capabilities *c, unsigned needs);

/* "vision": the first of them; "" for none. */
const char *need_name(unsigned needs);

/* What a backend makes of its context, as its engine says now and then. */
struct usage {
    uint64_t context_used; /* tokens that are kept in it, and how many there could be */
    uint64_t context_size;
    uint64_t prompt_tokens; /* since it was ready, and how many of those needed no work */
    uint64_t cached_tokens;
    uint64_t prefix_cache_bytes; /* of host memory, for beginnings that had to leave it */
    uint64_t prefix_cache_max;
};
