/*
 * engine.h - the engine protocol, as plain data: what the daemon orders, and what
 * an engine tells.
 *
 * Both directions are frames (frame.h) on descriptor 3 of the engine process;
 * docs/engine-protocol.md has the exchange in full.  Both ends use this codec, so
 * a field is written down once.
 *
 * A request is named by a serial that is never used twice.  News of a serial that
 * nobody knows any more is not an error: it crossed a cancellation.
 */
#pragma once

#include "proto/frame.h"
#include "proto/request.h"

enum {
    ENGINE_PROTOCOL_VERSION = 1,

    ENGINE_FD = 3,       /* the protocol's socket, in the engine */
    ENGINE_MODEL_FD = 4, /* the model file, where there is one */

    ENGINE_EXIT_NO_MEMORY = 4, /* it needed more memory than there was */

    /* Whatever fits a client's frame fits here, with room for what we add. */
    ENGINE_FRAME_MAX = REQUEST_BYTES_MAX + 1024 * 1024,

    SHA256_HEX = 64,
    PATH_SHOWN_MAX = 1024,
};

/* --- orders: daemon to engine --------------------------------------------- */

/* clang-format off */
#define ORDER_LIST(X)                                                             \
    X(VERIFY,   "verify")    /* hash the model file; answered by a digest */      \
    X(LOAD,     "load")      /* once; answered by phases, then ready or error */  \
    X(GENERATE, "generate")  /* answered by text, then one done or error */       \
    X(CANCEL,   "cancel")    /* answered by that request's done */                \
    X(PAUSE,    "pause")     /* send no more text of this request for now */      \
    X(RESUME,   "resume")                                                         \
    X(PING,     "ping")      /* answered by pong, whatever else goes on */        \
    X(DRAIN,    "drain")     /* finish what runs, then exit 0 */
/* clang-format on */

enum order_kind {
#define X(name, wire) ORDER_##name,
    ORDER_LIST(X)
#undef X
};

enum { AVOID_MAX = 16 };

struct load {
    const char *name;             /* the backend's label */
    uint32_t slots;               /* how many requests the daemon will run at a time */
    const char *model_path;       /* for messages only; NULL: there is no model file */
    const char *cache_dir;        /* where the engine may keep what it found out; NULL: nowhere */
    const char *avoid[AVOID_MAX]; /* CPU variants that faulted; unused ones are NULL */
    const json_t *options; /* the backend's entry in the configuration; never NULL when read */
};

struct order {
    enum order_kind kind;
    uint64_t serial;          /* GENERATE, CANCEL, PAUSE, RESUME */
    struct load load;         /* LOAD; borrows from `tree` */
    struct generate generate; /* GENERATE; owned */
    size_t text_len;          /* GENERATE: bytes of its messages */
    char *text;               /* GENERATE: those bytes; owned; NULL until they are there */
    json_t *tree;             /* owned */
};

/* An order that needs no more than its kind and perhaps a serial (else 0), as a
 * whole frame. */
enum err order_put(struct buf *out, enum order_kind kind, uint64_t serial) MUST_USE;
enum err order_put_load(struct buf *out, const struct load *load) MUST_USE;

/* Two frames: what is asked, and the text of its messages as a BLOB, which the other
 * end need not parse however long it is.  From `*ret_said` on, the bytes of `out` are the same
 * whoever asks the same. */
enum err order_put_generate(struct buf *out, uint64_t serial, const struct generate *g,
                            size_t *ret_said) MUST_USE;

/* ERR_PROTOCOL with a sentence.  A GENERATE is whole only after order_read_text(). */
enum err order_read(const struct frame *frame, struct order *ret, struct error *error) MUST_USE;

/* The frame after a GENERATE: its messages get their text.  The order stays the
 * caller's to end, on failure too. */
enum err order_read_text(struct order *order, const struct frame *frame,
                         struct error *error) MUST_USE;
void order_done(struct order *order);

/* --- events: engine to daemon --------------------------------------------- */

/* clang-format off */
#define EVENT_LIST(X)                                                             \
    X(DIGEST,   "digest")    /* the model file's SHA-256 */                       \
    X(PHASE,    "phase")     /* how far loading is */                             \
    X(READY,    "ready")     /* a token was decoded */                            \
    X(DONE,     "done")      /* a request's end */                                \
    X(ERROR,    "error")     /* a request's end; serial 0: loading failed */      \
    X(PONG,     "pong")                                                           \
    X(STATS,    "stats")     /* how full its context is, when that has changed */ \
    X(TEXT,     "")          /* a FRAME_TEXT, never JSON */
/* clang-format on */

enum event_kind {
#define X(name, wire) EVENT_##name,
    EVENT_LIST(X)
#undef X
};

enum phase { PHASE_CHECKING_LOCAL, PHASE_VERIFY, PHASE_MMAP, PHASE_KV_CACHE };

/* "mmap" */
const char *phase_name(enum phase phase);

/* What the phase is about, as far as it has one. */
struct phase_news {
    enum phase phase;
    char path[PATH_SHOWN_MAX];
    uint32_t n_ctx;
    uint32_t percent;     /* of MMAP, how much is done; 0: it does not say */
    char cpu_variant[64]; /* what will fault if this engine dies of SIGILL; "" unknown */
};

struct event {
    enum event_kind kind;
    uint64_t serial;                  /* TEXT, DONE, ERROR */
    char digest[SHA256_HEX + 1];      /* DIGEST: lower-case hex */
    struct phase_news phase;          /* PHASE */
    struct capabilities capabilities; /* READY */
    struct outcome outcome;           /* DONE */
    struct error error;               /* ERROR */
    uint64_t progress;                /* PONG: grows with every sign of work */
    bool busy;                        /* PONG: is there work at all? */
    struct usage usage;               /* STATS */
    enum text_kind text_kind;         /* TEXT */
    struct slice text;                /* TEXT: whole characters; borrowed from the frame */
};

/* What a READY says in yes and no (vision, tools, ...), from any object that says it with
 * the same names; what is absent stays as it is. */
enum err capabilities_read(const json_t *tree, struct capabilities *c,
                           struct error *error) MUST_USE;

/* Append the event as a whole frame. */
enum err event_put(struct buf *out, const struct event *event) MUST_USE;

/* ERR_PROTOCOL with a sentence. */
enum err event_read(const struct frame *frame, struct event *ret, struct error *error) MUST_USE;
