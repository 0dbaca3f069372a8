/*
 * record.h - one line of the activity log in the making.
 *
 *     struct record r;
 *     record_init(&r, "activity", LOG_INFO, "request_done");
 *     record_text(&r, "backend", name);
 *     record_number(&r, "prompt_tokens", n);
 *     e = record_put(&r, &now, out);
 *
 * A line is one JSON object with its keys in alphabetical order, whichever they were added
 * in; adding them in that order is cheapest.  Texts are borrowed until
 * record_put(); they are cut at TEXT_SHOWN_MAX bytes, bytes that are no UTF-8 and control
 * characters become '?': a name that somebody chose starts no line of its own and moves no
 * cursor.
 */
#pragma once

#include <stdint.h>
#include <time.h>

#include "base/buf.h"
#include "base/log.h"

enum {
    RECORD_FIELDS_MAX = 32,
    TEXT_SHOWN_MAX = 256,
};

struct record {
    const char *component;
    enum log_level level;
    size_t n_fields;
    unsigned char order[RECORD_FIELDS_MAX]; /* of `fields`, by name */
    struct field {
        const char *name;
        enum { FIELD_TEXT, FIELD_NUMBER, FIELD_FLAG, FIELD_MS } kind;
        struct slice text;
        int64_t number;
    } fields[RECORD_FIELDS_MAX];
};

/* All three texts are literals. */
void record_init(struct record *r, const char *component, enum log_level level, const char *msg);

/* NULL leaves the field out. */
void record_text(struct record *r, const char *name, const char *text);
void record_slice(struct record *r, const char *name, struct slice text);
void record_number(struct record *r, const char *name, int64_t number);
/* Milliseconds with three decimals; a negative time leaves the field out. */
void record_ms(struct record *r, const char *name, int64_t us);
void record_flag(struct record *r, const char *name, bool flag);

/* Append the line, newline included, or nothing on failure. */
enum err record_put(struct record *r, const struct timespec *now, struct buf *out) MUST_USE;
