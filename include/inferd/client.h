/*
 * inferd/client.h - libinferd, the C client of the inferd daemon.
 *
 *     struct inferd_error error;
 *     struct inferd_client *c;
 *     if (inferd_connect(NULL, 30000, &c, &error) != INFERD_OK)
 *         die(error.message);
 *
 *     struct inferd_message message = { INFERD_USER, "Why is the sky blue?" };
 *     struct inferd_request request = INFERD_REQUEST_INIT;
 *     request.messages = &message;
 *     request.n_messages = 1;
 *     request.on_text = print_text;
 *
 *     struct inferd_result result;
 *     if (inferd_generate(c, &request, &result, &error) != INFERD_OK)
 *         die(error.message);
 *     inferd_result_done(&result);
 *     inferd_close(c);
 *
 * Calls block.  A connection serves one request at a time, any number one after
 * the other; it belongs to one thread at a time, and different connections are
 * independent.  To cancel, return non-zero from a callback, or close the connection
 * (inferd_abort() does it from another thread or a signal handler): the daemon
 * stops working on what was asked at once.
 *
 * The library opens Unix sockets only, and only to a daemon that runs as this
 * user, as root, or as the user whose number stands in INFERD_SERVER_UID.  It
 * raises no SIGPIPE, starts no threads and keeps no state of its own.
 *
 * `error` may be NULL wherever it is asked for; it is filled on failure only.
 */
#ifndef INFERD_CLIENT_H
#define INFERD_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

enum inferd_status {
    INFERD_OK = 0,
    INFERD_REFUSED,     /* the daemon said no: `code` and `message` are its words */
    INFERD_CANCELLED,   /* by a callback or inferd_abort() */
    INFERD_UNREACHABLE, /* no daemon, none within the time given, or no permission */
    INFERD_UNTRUSTED,   /* the socket belongs to somebody else; nothing was sent */
    INFERD_LOST,        /* the connection ended before the answer did */
    INFERD_PROTOCOL,    /* the daemon sent what can't be understood */
    INFERD_INVALID,     /* the request makes no sense; nothing was sent */
    INFERD_FAILED,      /* out of memory, or a system call failed */
};

struct inferd_error {
    enum inferd_status status;
    char code[32];     /* "queue_full", "invalid_request", ...; "" unless INFERD_REFUSED */
    char message[512]; /* a sentence for a person; UTF-8, terminated */

    /* With "queue_full": how many requests may wait, and after what time the daemon expects
     * to have room again.  0 where it does not say. */
    uint64_t queue_depth;
    uint64_t retry_after_ms;
};

enum inferd_role { INFERD_SYSTEM, INFERD_USER, INFERD_ASSISTANT };

struct inferd_message {
    enum inferd_role role;
    const char *content; /* UTF-8, terminated */
};

/* What is added to the model's number for a token: -100 bans it, 100 all but forces it. */
struct inferd_logit_bias {
    uint32_t token;
    double bias;
};

/* Numbers left as INFERD_REQUEST_INIT sets them are not sent, so the daemon's
 * defaults hold.  Text that is not UTF-8, and more than 64 MiB in all, is
 * INFERD_INVALID; ranges are the daemon's to judge. */
struct inferd_request {
    const char *id;                        /* comes back in every frame; NULL is "" */
    const struct inferd_message *messages; /* borrowed for the call */
    size_t n_messages;
    double temperature;       /* below 0: default */
    double top_p;             /* below 0: default */
    int64_t top_k;            /* below 0: default */
    int64_t max_tokens;       /* below 0: default */
    int64_t seed;             /* below 0: a random one */
    const char *grammar;      /* GBNF; NULL is none */
    double min_p;             /* 0: off */
    double repeat_penalty;    /* 0: default, which is off */
    double presence_penalty;  /* 0: off */
    double frequency_penalty; /* 0: off */
    const char *const *stop;  /* the answer ends before any of these; borrowed for the call */
    size_t n_stop;
    const struct inferd_logit_bias *logit_bias; /* no token twice; borrowed for the call */
    size_t n_logit_bias;
    int priority; /* 0; -1: when nothing else waits, whoever asked for that */

    /* Each piece of the answer as it comes, `len` bytes of whole UTF-8 characters,
     * valid during the call.  Non-zero cancels.  NULL: only the result counts. */
    int (*on_text)(void *context, const char *text, size_t len);

    /* Every frame as the daemon sent it, without its newline, before it is acted on.
     * Non-zero cancels. */
    int (*on_frame)(void *context, const char *json, size_t len);

    void *context;
};

#define INFERD_REQUEST_INIT                                                                        \
    {                                                                                              \
        .temperature = -1, .top_p = -1, .top_k = -1, .max_tokens = -1, .seed = -1                  \
    }

struct inferd_result {
    char *text; /* the whole answer, terminated; inferd_result_done() frees it */
    size_t text_len;
    char stop_reason[16]; /* "end", "length", "cancelled", "error" */
    char backend[64];
    uint64_t prompt_tokens;
    uint64_t completion_tokens;
    uint64_t cached_tokens;
    double queue_ms;
    double prompt_ms;
    double first_token_ms;
    double generate_ms;
    double tokens_per_second; /* 0 if the daemon did not say */
};

struct inferd_client;

/* This library's version, "0.1.0". */
const char *inferd_version(void);

/*
 * Where a socket of that name ("infer.sock", "admin.sock") lies: in
 * $INFERD_RUNTIME_DIR, else $XDG_RUNTIME_DIR/inferd, else $HOME/.inferd/run, else
 * /tmp/inferd-UID (an empty variable counts as none).  Writes a terminated path;
 * INFERD_INVALID if it does not fit `size`.
 */
enum inferd_status inferd_socket_path(const char *name, char *path, size_t size);

/*
 * Connect to the generation socket at `path` (NULL: the default one), waiting for
 * the daemon to be ready for at most `wait_ms`: a daemon that is loading has no
 * socket yet.  Tries again after 100 ms, doubling up to 5 s, for as long as the
 * failure may pass by itself (no such socket, refused, too many waiting).  0 or
 * less: try once.  A path of more than 107 bytes is INFERD_INVALID.
 */
enum inferd_status inferd_connect(const char *path, int wait_ms, struct inferd_client **client,
                                  struct inferd_error *error);

/* NULL is fine.  What still runs on this connection is cancelled. */
void inferd_close(struct inferd_client *client);

/* Cancel the call in progress, and any that follows: the connection can only be
 * closed afterwards.  Async-signal-safe; any thread, before inferd_close(). */
void inferd_abort(struct inferd_client *client);

/*
 * Ask and wait for the end of the answer.  `result` is filled on INFERD_OK only,
 * and then to be ended with inferd_result_done().  After INFERD_OK, INFERD_REFUSED
 * and INFERD_INVALID the connection can be used again (unless the daemon closed it,
 * which the next call tells by INFERD_LOST); after anything else it can't.
 */
enum inferd_status inferd_generate(struct inferd_client *client,
                                   const struct inferd_request *request,
                                   struct inferd_result *result, struct inferd_error *error);

void inferd_result_done(struct inferd_result *result);

/*
 * Read the daemon's state from the admin socket at `path` (NULL: the default one).
 * `on_frame` gets each frame as one line of JSON: first what the daemon holds for a
 * newcomer (one "capabilities" frame per backend, then its present state), then,
 * if `follow` is non-zero, every change.
 *
 * INFERD_OK           `on_frame` returned non-zero; without `follow`, also when the
 *                     present state was told
 * INFERD_LOST         the daemon ended
 * INFERD_UNREACHABLE  no daemon, or, without `follow`, one that did not tell its
 *                     state within two seconds
 */
enum inferd_status inferd_watch(const char *path, int follow,
                                int (*on_frame)(void *context, const char *json, size_t len),
                                void *context, struct inferd_error *error);

/*
 * Give the daemon an order on the admin socket at `path` (NULL: the default one): one line
 * of JSON, as {"op":"stats"}; docs/admin.md lists them.  The daemon follows its own user's
 * orders and root's.  `*reply` is its reply, one line of JSON, to be ended with free().
 *
 * INFERD_REFUSED      it said no, or did not understand; `message` is why
 * INFERD_UNREACHABLE  no daemon, or one that did not reply within half a minute
 */
enum inferd_status inferd_order(const char *path, const char *order, char **reply,
                                struct inferd_error *error);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
