/*
 * record.c - see record.h.
 */
#include "journal/record.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

static const char *const level_names[] = {
    [LOG_OFF] = "off",   [LOG_ERROR] = "error", [LOG_WARN] = "warn",
    [LOG_INFO] = "info", [LOG_DEBUG] = "debug",
};

static struct field *add(struct record *r, const char *name, int kind)
{
    assert(r->n_fields < RECORD_FIELDS_MAX);
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

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct field *)a)->name, ((const struct field *)b)->name);
}

static enum err put_text(struct buf *out, struct slice text)
{
    char shown[TEXT_SHOWN_MAX];
    size_t len = text.len <= sizeof shown ? text.len : utf8_whole(text.at, sizeof shown);
    memcpy(shown, text.at, len);
    utf8_scrub(shown, len);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)shown[i] < 0x20 || shown[i] == 0x7f)
            shown[i] = '?';
    return json_put_string(out, shown, len);
}

static enum err put_field(struct buf *out, const struct field *f)
{
    enum err e = buf_printf(out, "\"%s\":", f->name);
    if (e)
        return e;
    switch (f->kind) {
    case FIELD_TEXT:
        return put_text(out, f->text);
    case FIELD_NUMBER:
        return buf_printf(out, "%lld", (long long)f->number);
    case FIELD_MS:
        return buf_printf(out, "%lld.%03d", (long long)(f->number / 1000), (int)(f->number % 1000));
    case FIELD_FLAG:
        return buf_append_str(out, f->number ? "true" : "false");
    }
    return OK;
}

/* "2026-11-25T19:04:05.123456+00:00" */
static void write_time(const struct timespec *now, char *ret, size_t size)
{
    struct tm utc;
    gmtime_r(&now->tv_sec, &utc);
    size_t n = strftime(ret, size, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(ret + n, size - n, ".%06ld+00:00", now->tv_nsec / 1000);
}

enum err record_put(struct record *r, const struct timespec *now, struct buf *out)
{
    char time[64];
    size_t before = out->len;
    write_time(now, time, sizeof time);
    record_text(r, "t", time);
    qsort(r->fields, r->n_fields, sizeof r->fields[0], by_name);

    enum err e = OK;
    for (size_t i = 0; !e && i < r->n_fields; i++) {
        e = buf_append(out, i ? "," : "{", 1);
        if (!e)
            e = put_field(out, &r->fields[i]);
    }
    if (!e)
        e = buf_append_str(out, "}\n");
    if (e)
        out->len = before;
    return e;
}
