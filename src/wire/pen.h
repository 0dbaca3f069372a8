/*
 * pen.h - JSON, written straight into a buffer.
 *
 *     struct pen p = { .out = &out, .first = true };
 *     pen_open(&p, NULL, "{");
 *     pen_count(&p, "waiting", 7);
 *     pen_close(&p, "}");
 *     pen_end_line(&p);
 *     if (p.failed) ...
 *
 * For replies that are too large to be made into a tree first.  Whoever writes sees to the
 * order of the members.  The first failure stays, and nothing is written behind it, so it is
 * looked at once, in the end.
 *
 * `name` is the member's in an object, and needs no escaping; NULL in a list.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct pen {
    struct buf *out;
    enum err failed;
    bool first; /* of an object or a list: no comma before it */
};

void pen_open(struct pen *p, const char *name, const char *bracket);
void pen_close(struct pen *p, const char *bracket);
void pen_end_line(struct pen *p);

void pen_count(struct pen *p, const char *name, uint64_t n);
void pen_integer(struct pen *p, const char *name, int64_t n);
void pen_boolean(struct pen *p, const char *name, bool is);

/* Not negative; to the millionth. */
void pen_fraction(struct pen *p, const char *name, double x);

/* Left out where it is 0. */
void pen_number(struct pen *p, const char *name, uint64_t n);

/* Left out where it is "" or NULL.  What is no UTF-8 of it is written as "?". */
void pen_text(struct pen *p, const char *name, const char *s);
