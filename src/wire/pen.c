/*
 * pen.c - see pen.h.
 *
 * Numbers make up most of such replies, and printf() takes several times as long for one as
 * it takes to write its digits.
 */
#include "wire/pen.h"

#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

static void put(struct pen *p, const char *bytes, size_t n)
{
    if (!p->failed)
        p->failed = buf_append(p->out, bytes, n);
}

/* What stands before a value: a comma, and in an object (`name` is not NULL) its name, which
 * needs no escaping. */
static void begin(struct pen *p, const char *name)
{
    if (!p->first)
        put(p, ",", 1);
    p->first = false;
    if (!name)
        return;
    put(p, "\"", 1);
    put(p, name, strlen(name));
    put(p, "\":", 2);
}

void pen_open(struct pen *p, const char *name, const char *bracket)
{
    begin(p, name);
    put(p, bracket, 1);
    p->first = true;
}

void pen_close(struct pen *p, const char *bracket)
{
    put(p, bracket, 1);
    p->first = false;
}

static void put_digits(struct pen *p, uint64_t n)
{
    char digits[20], *at = digits + sizeof digits;
    do
        *--at = (char)('0' + n % 10);
    while (n /= 10);
    put(p, at, (size_t)(digits + sizeof digits - at));
}

void pen_count(struct pen *p, const char *name, uint64_t n)
{
    begin(p, name);
    put_digits(p, n);
}

void pen_number(struct pen *p, const char *name, uint64_t n)
{
    if (n > 0)
        pen_count(p, name, n);
}

void pen_integer(struct pen *p, const char *name, int64_t n)
{
    begin(p, name);
    if (n < 0)
        put(p, "-", 1);
    put_digits(p, n < 0 ? 0 - (uint64_t)n : (uint64_t)n);
}

void pen_boolean(struct pen *p, const char *name, bool is)
{
    begin(p, name);
    put(p, is ? "true" : "false", is ? 4 : 5);
}

void pen_fraction(struct pen *p, const char *name, double x)
{
    enum { MILLION = 1000000, DIGITS = 6 };
    uint64_t n = x < 1e12 ? (uint64_t)(x * MILLION + 0.5) : (uint64_t)1e18;
    char behind[1 + DIGITS] = ".";
    uint64_t rest = n % MILLION;
    for (int i = DIGITS; i > 0; i--, rest /= 10)
        behind[i] = (char)('0' + rest % 10);
    begin(p, name);
    put_digits(p, n / MILLION);
    put(p, behind, sizeof behind);
}

void pen_text(struct pen *p, const char *name, const char *s)
{
    if (!s || !s[0] || p->failed)
        return;
    CLEANUP(free_ptr) char *copy = strdup(s);
    if (!copy) {
        p->failed = ERR_NO_MEMORY;
        return;
    }
    utf8_scrub(copy, strlen(copy));
    begin(p, name);
    if (!p->failed)
        p->failed = json_put_string(p->out, copy, strlen(copy));
}

void pen_end_line(struct pen *p)
{
    put(p, "\n", 1);
}
