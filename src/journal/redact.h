/*
 * redact.h - secrets out of a line, the last thing before it is written.
 *
 * The log is made of fields that cannot hold a secret; this is for the day one of them
 * does.  What looks like a key is replaced by a word that says what it was:
 *
 *     token=hunter2222  -->  [REDACTED:secret-kv]
 *
 * A line of JSON stays a line of JSON: nothing that is replaced ever holds a quotation
 * mark or half an escape.
 */
#pragma once

#include "base/buf.h"

enum { REDACTED_BYTES_MAX = 64 * 1024 }; /* of a line, with what is put in for secrets */

struct redactor;

/* ERR_NO_MEMORY; ERR_INTERNAL if the patterns are not what this pcre2 understands. */
enum err redactor_new(struct redactor **ret, struct error *error) MUST_USE;

/* NULL is fine. */
void redactor_free(struct redactor *r);

/*
 * Append the line without its secrets to `out`.
 *
 * On failure nothing was appended, and the line must not be written:
 *
 * ERR_INTERNAL         a pattern could not be applied within its limits
 * ERR_FRAME_TOO_LARGE  beyond REDACTED_BYTES_MAX, or what `out` may hold
 * ERR_NO_MEMORY
 */
enum err redact(struct redactor *r, const char *line, size_t len, struct buf *out) MUST_USE;
