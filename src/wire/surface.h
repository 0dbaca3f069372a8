/*
 * surface.h - what every client wire has in common.
 *
 * A surface turns a client's line into the plain data of a request, and what
 * becomes of the request into the client's frames.  JSON ends here: nothing behind
 * `wire` knows which protocol a client speaks.  No I/O.
 *
 * To add a surface, write wire/<surface>.c and a row in serve's table.
 */
#pragma once

#include "proto/request.h"

enum {
    ID_BYTES_MAX = 256, /* of a client's request id */
};

/* What a client asks. */
struct ask {
    char *id; /* owned; NULL before it is decoded, "" if the client gave none */
    bool stream;
    bool later; /* when nobody else waits */
    struct generate generate;
};

/* Usable by ask_done() at any time. */
void ask_init(struct ask *ask);
void ask_done(struct ask *ask);

/*
 * The state of an answer on its way to the client.  The text is escaped once, piece
 * by piece, sent in the pieces' frames and kept for the last one, so that the last
 * frame of a long answer costs no more than a copy.
 */
struct answer {
    struct buf id;   /* escaped, with its quotes */
    struct buf text; /* escaped, without quotes, so far */
    bool stream;
};

/* Takes nothing of `ask`.  ERR_NO_MEMORY: still to be ended with answer_done(). */
enum err answer_init(struct answer *a, const struct ask *ask) MUST_USE;
void answer_done(struct answer *a);

struct surface {
    const char *name;   /* "v1" */
    unsigned max_depth; /* of a line's JSON */

    /*
     * Decode and check one line, as line.h hands it out.  `ret` is overwritten, and
     * always to be ended with ask_done().  Keeps nothing of `line`.  Any thread.
     *
     * ERR_PROTOCOL         not the shape of a request; the id is "" and the
     *                      conversation ends after the error
     * ERR_INVALID_REQUEST  a request, but one that can't be done; ret->id holds its
     *                      id and the conversation goes on
     * ERR_NO_MEMORY        neither here nor there; the id may be NULL
     */
    enum err (*decode)(const char *line, size_t len, struct ask *ret, struct error *error);

    /* Append frames, newline included, or nothing on failure.  put_text() appends
     * nothing if the client did not ask for a stream, or if the wire has no frame
     * for that kind of text.  `text` is whole UTF-8 characters.
     *
     * ERR_FRAME_TOO_LARGE  more than `out`, or an answer, may hold
     * ERR_NO_MEMORY */
    enum err (*put_text)(struct answer *a, enum text_kind kind, struct slice text, struct buf *out);
    enum err (*put_done)(struct answer *a, const struct outcome *outcome, const char *backend,
                         struct buf *out);

    /* `a` is NULL where the error belongs to no request; ERR_PROTOCOL is then the
     * client's, and its code on the wire invalid_request.  `crowd` is told with
     * ERR_QUEUE_FULL only; NULL: not at all. */
    enum err (*put_error)(const struct answer *a, const struct error *error,
                          const struct crowd *crowd, struct buf *out);
};

extern const struct surface surface_v1;
