/*
 * encode.h - a request as the daemon's first wire reads it: one line of JSON.
 */
#pragma once

#include "base/buf.h"
#include "client/failure.h"

enum {
    /* What the daemon takes as one line, the newline not counted. */
    ENCODE_MAX = 64 * 1024 * 1024,
};

/*
 * Append the request and its newline to `out`, whose ceiling must be above
 * ENCODE_MAX.
 *
 * INFERD_INVALID  it is no request, or a string in it is not UTF-8; the sentence
 *                 says which and where
 */
enum inferd_status encode(const struct inferd_request *request, struct buf *out,
                          struct inferd_error *error) MUST_USE;
