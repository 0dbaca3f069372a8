/*
 * reply.h - one line of the daemon's, understood.
 */
#pragma once

#include <jansson.h>

#include "client/failure.h"

enum reply_kind {
    REPLY_OTHER, /* of a kind that this library does not know */
    REPLY_TOKEN,
    REPLY_DONE,
    REPLY_ERROR,
};

struct reply {
    enum reply_kind kind;
    const char *id;    /* "" if there is none; borrowed from `tree` */
    struct slice text; /* TOKEN: the piece; DONE: the whole answer; likewise */
    json_t *tree;      /* owned */
};

/* INFERD_PROTOCOL with a sentence.  `ret` is to be ended with reply_done(). */
enum inferd_status reply_read(struct slice line, struct reply *ret,
                              struct inferd_error *error) MUST_USE;
void reply_done(struct reply *reply);

/* What a DONE says.  Keys that are missing or of another type count as zero. */
enum inferd_status reply_result(const struct reply *reply, struct inferd_result *ret,
                                struct inferd_error *error) MUST_USE;

/* Fill `error` with what an ERROR says; returns INFERD_REFUSED. */
enum inferd_status reply_refusal(const struct reply *reply, struct inferd_error *error);
