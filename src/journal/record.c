/*
 * record.c - see record.h.
 */
#include "journal/record.h"

#include <assert.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

static const char *const level_names[] = {
    [LOG_OFF] = "off",   [LOG_ERROR] = "error", [LOG_WARN] = "warn",
    [LOG_INFO] = "info", [LOG_DEBUG] = "debug",
};

/* Insert a field where its name belongs. */
static struct field *add(struct record *r, const char *name, int kind)
{
    assert(r->n_fields < RECORD_FIELDS_MAX);
    size_t at = r->n_fields;
    for (; at > 0 && strcmp(r->fields[r->order[at - 1]].name, name) > 0; at--)
        r->order[at] = r->order[at - 1];
    r->order[at] = (unsigned char)r->n_fields;
    struct field *f = &r->fields[r->n_fields++];
    f->name = name;
    f->kind = kind;
    return f;
}

void record_init(struct record *r, const char *component, enum log_level level, const char *msg)
{
    r->component = component;
    r->level = level;
    r->n_fields = 0;
    record_text(r, "component", component);
    record_text(r, "level", level_names[level]);
    record_text(r, "msg", msg);
}

void record_slice(struct record *r, const char *name, struct slice text)
{
    add(r, name, FIELD_TEXT)->text = text;
}

void record_text(struct record *r, const char *name, const char *text)
{
    if (text)
        record_slice(r, name, (struct slice){ text, strlen(text) });
}

void record_number(struct record *r, const char *name, int64_t number)
{
    add(r, name, FIELD_NUMBER)->number = number;
}

void record_ms(struct record *r, const char *name, int64_t us)
{
    if (us >= 0)
        add(r, name, FIELD_MS)->number = us;
}

void record_flag(struct record *r, const char *name, bool flag)
{
    add(r, name, FIELD_FLAG)->number = flag;
}

/* --- encoding --------------------------------------------------------------- */

static enum err put_text(struct buf *out, struct slice text)
{
    char shown[TEXT_SHOWN_MAX];
    size_t len = text.len <= sizeof shown ? text.len : utf8_whole(text.at, sizeof shown);
    memcpy(shown, text.at, len);
    utf8_scrub(shown, len);
    utf8_tame(shown, len);
    return json_put_string(out, shown, len);
}

/* Decimal digits, at least `width` of them, ending before `end`; where they begin. */
static char *write_digits(char *end, uint64_t n, int width)
{
    for (; n > 0 || width > 0; n /= 10, width--)
        *--end = (char)('0' + n % 10);
    return end;
}

static enum err put_number(struct buf *out, int64_t number)
{
    char digits[24];
    char *end = digits + sizeof digits;
    uint64_t size = number < 0 ? -(uint64_t)number : (uint64_t)number;
    char *at = write_digits(end, size, 1);
    if (number < 0)
        *--at = '-';
    return buf_append(out, at, (size_t)(end - at));
}

/* Microseconds, as milliseconds. */
static enum err put_ms(struct buf *out, int64_t us)
{
    char digits[24];
    char *end = digits + sizeof digits;
    char *at = write_digits(end, (uint64_t)us % 1000, 3);
    *--at = '.';
    at = write_digits(at, (uint64_t)us / 1000, 1);
    return buf_append(out, at, (size_t)(end - at));
}

static enum err put_value(struct buf *out, const struct field *f)
{
    switch (f->kind) {
    case FIELD_TEXT:
        return put_text(out, f->text);
    case FIELD_NUMBER:
        return put_number(out, f->number);
    case FIELD_MS:
        return put_ms(out, f->number);
    case FIELD_FLAG:
        return buf_append_str(out, f->number ? "true" : "false");
    }
    return OK;
}

static enum err put_field(struct buf *out, const struct field *f)
{
    enum err e = buf_append(out, "\"", 1);
    if (!e)
        e = buf_append_str(out, f->name);
    if (!e)
        e = buf_append(out, "\":", 2);
    return e ? e : put_value(out, f);
}

/* "2026-11-25T19:04:05.123456+00:00" */
static void write_time(const struct timespec *now, char ret[33])
{
    struct tm utc;
    gmtime_r(&now->tv_sec, &utc);
    memcpy(ret, "0000-00-00T00:00:00.000000+00:00", 33);
    write_digits(ret + 4, (uint64_t)utc.tm_year + 1900, 4);
    write_digits(ret + 7, (uint64_t)utc.tm_mon + 1, 2);
    write_digits(ret + 10, (uint64_t)utc.tm_mday, 2);
    write_digits(ret + 13, (uint64_t)utc.tm_hour, 2);
    write_digits(ret + 16, (uint64_t)utc.tm_min, 2);
    write_digits(ret + 19, (uint64_t)utc.tm_sec, 2);
    write_digits(ret + 26, (uint64_t)now->tv_nsec / 1000, 6);
}

enum err record_put(struct record *r, const struct timespec *now, struct buf *out)
{
    char time[33];
    size_t before = out->len;
    write_time(now, time);
    record_text(r, "t", time);

    enum err e = OK;
    for (size_t i = 0; !e && i < r->n_fields; i++) {
        e = buf_append(out, i ? "," : "{", 1);
        if (!e)
            e = put_field(out, &r->fields[r->order[i]]);
    }
    if (!e)
        e = buf_append_str(out, "}\n");
    if (e)
        out->len = before;
    return e;
}
