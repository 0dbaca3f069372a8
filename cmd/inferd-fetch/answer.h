/*
 * answer.h - what a server's answer says about the file, and whether it may be believed.
 *
 *     200            all of it, from the beginning
 *     206            exactly the range that was asked for, by its Content-Range
 *     301 302 303 307 308
 *                    somewhere else
 *     anything else  no
 */
#pragma once

#include <curl/curl.h>

#include "journal.h"
#include "outcome.h"

enum answer_kind { ANSWER_WHOLE, ANSWER_RANGE, ANSWER_REDIRECT, ANSWER_REFUSAL };

struct answer {
    enum answer_kind kind;
    long status;
    struct identity file; /* WHOLE, RANGE: without `source` */
    struct span body;     /* likewise; `to` is UINT64_MAX if no length is announced */
};

/* Read the answer on `easy` to a request for `asked`.  TRANSPORT if it contradicts itself or
 * HTTP; the sentence says how. */
enum outcome answer_read(CURL *easy, const struct span *asked, struct answer *ret,
                         struct error *error) MUST_USE;

/* "bytes 0-99/1000": false unless it is exactly this form and makes sense. */
bool content_range_read(const char *text, struct span *ret, uint64_t *ret_size);

/* Does what the server says now still describe the same file? */
bool identity_same(const struct identity *before, const struct identity *now);

/* Is it worth asking again after this status? */
bool status_may_pass(long status);
