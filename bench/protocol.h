/*
 * protocol.h - what the load generator must know of a protocol.
 *
 * A protocol writes requests and recognises what comes back.  It has no state: what
 * a frame means is seen from its bytes and from the request that the connection
 * waits for.  To add one, write a file and a row in load.c's table.
 */
#pragma once

#include "prompt.h"

enum reply_kind {
    REPLY_PIECE,   /* a part of the answer; more comes */
    REPLY_DONE,    /* terminal: answered */
    REPLY_REFUSED, /* terminal: an error, with a code */
};

/* One frame. */
struct reply {
    enum reply_kind kind;
    size_t len;        /* bytes of the frame, its end included */
    struct slice code; /* REFUSED; borrowed from the bytes */
    bool has_text;     /* PIECE: it shows something of the answer */
    uint64_t tokens;   /* of the whole answer, in the frame that counts them; else 0 */
};

struct protocol {
    const char *name;

    /* Append one request.  `serial` is never used twice. */
    enum err (*put_request)(const struct shape *shape, uint64_t serial, struct buf *out);

    /*
     * The frame at the front of `in`, which must belong to request `serial`.
     *
     * ERR_AGAIN     it is not whole yet
     * ERR_MISMATCH  it is another request's, or nobody's
     * ERR_PROTOCOL  it is no frame
     */
    enum err (*read_reply)(struct slice in, uint64_t serial, struct reply *ret,
                           struct error *error);
};

extern const struct protocol protocol_v1;
extern const struct protocol protocol_redis;
extern const struct protocol protocol_openai;
