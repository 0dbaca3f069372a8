/*
 * json.c - see json.h.
 */
#include "base/json.h"

#include <string.h>

/* Messages show at most this much of a value. */
enum { SHOWN_MAX = 80 };

enum err json_read(const char *text, size_t len, json_t **ret_root, struct error *error)
{
    json_error_t why;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (!root) {
        if (json_error_code(&why) == json_error_out_of_memory)
            return fail_nomem(error);
        return fail(error, ERR_PROTOCOL, "not valid JSON: %s at line %d column %d", why.text,
                    why.line, why.column);
    }
    *ret_root = root;
    return OK;
}

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "a whole number";
    case JSON_REAL:
        return "a fraction";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        break;
    }
    return "null";
}

static enum err wrong_type(struct error *error, const char *name, const char *wanted,
                           const json_t *value)
{
    return fail(error, ERR_PROTOCOL, "%.*s must be %s, not %s", SHOWN_MAX, name, wanted,
                type_name(value));
}

/* The member, or NULL if it is absent or null. */
static const json_t *member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

enum err json_get_int(const json_t *object, const char *name, int64_t lowest, int64_t highest,
                      int64_t *ret, struct error *error)
{
    const json_t *value = member(object, name);
    if (!value)
        return OK;
    if (!json_is_integer(value))
        return wrong_type(error, name, "a whole number", value);
    int64_t v = json_integer_value(value);
    if (v < lowest || v > highest)
        return fail(error, ERR_INVALID_REQUEST, "%s is %lld; it must be from %lld to %lld", name,
                    (long long)v, (long long)lowest, (long long)highest);
    *ret = v;
    return OK;
}

enum err json_get_u32(const json_t *object, const char *name, uint32_t lowest, uint32_t highest,
                      uint32_t *ret, struct error *error)
{
    int64_t v = *ret;
    enum err e = json_get_int(object, name, lowest, highest, &v, error);
    if (!e)
        *ret = (uint32_t)v;
    return e;
}

enum err json_get_u64(const json_t *object, const char *name, uint64_t *ret, struct error *error)
{
    int64_t v = -1;
    enum err e = json_get_int(object, name, 0, INT64_MAX, &v, error);
    if (!e && v >= 0)
        *ret = (uint64_t)v;
    return e;
}

enum err json_get_double(const json_t *object, const char *name, double lowest, double highest,
                         double *ret, struct error *error)
{
    const json_t *value = member(object, name);
    if (!value)
        return OK;
    if (!json_is_number(value))
        return wrong_type(error, name, "a number", value);
    double v = json_number_value(value);
    if (!(v >= lowest && v <= highest))
        return fail(error, ERR_INVALID_REQUEST, "%s is %g; it must be from %g to %g", name, v,
                    lowest, highest);
    *ret = v;
    return OK;
}

enum err json_get_bool(const json_t *object, const char *name, bool *ret, struct error *error)
{
    const json_t *value = member(object, name);
    if (!value)
        return OK;
    if (!json_is_boolean(value))
        return wrong_type(error, name, "true or false", value);
    *ret = json_is_true(value);
    return OK;
}

enum err json_get_string(const json_t *object, const char *name, const char **ret,
                         struct error *error)
{
    const json_t *value = member(object, name);
    if (!value)
        return OK;
    if (!json_is_string(value))
        return wrong_type(error, name, "a string", value);
    *ret = json_string_value(value);
    return OK;
}

/* jansson's callback says only yes or no; the reason is kept here. */
struct target {
    struct buf *out;
    enum err e;
};

static int append(const char *bytes, size_t n, void *ctx)
{
    struct target *target = ctx;
    target->e = buf_append(target->out, bytes, n);
    return target->e ? -1 : 0;
}

enum err json_put(struct buf *out, const json_t *value)
{
    struct target target = { out, OK };
    size_t before = out->len;
    if (json_dump_callback(value, append, &target, JSON_COMPACT | JSON_ENCODE_ANY) == 0)
        return OK;
    out->len = before;
    return target.e ? target.e : ERR_NO_MEMORY;
}

/* What JSON does not allow inside a string as it is. */
static bool must_escape(char c)
{
    return (uint8_t)c < 0x20 || c == '"' || c == '\\';
}

static enum err put_escape(struct buf *out, char c)
{
    static const char *const short_forms[] = {
        ['"'] = "\\\"", ['\\'] = "\\\\", ['\b'] = "\\b", ['\f'] = "\\f",
        ['\n'] = "\\n", ['\r'] = "\\r",  ['\t'] = "\\t",
    };
    const char *form = short_forms[(uint8_t)c];
    return form ? buf_append_str(out, form) : buf_printf(out, "\\u%04x", c);
}

enum err json_put_escaped(struct buf *out, const char *bytes, size_t len)
{
    size_t before = out->len;
    enum err e = OK;
    size_t i = 0;
    while (!e && i < len) {
        size_t start = i;
        while (i < len && !must_escape(bytes[i]))
            i++;
        e = buf_append(out, bytes + start, i - start);
        if (!e && i < len)
            e = put_escape(out, bytes[i++]);
    }
    if (e)
        out->len = before;
    return e;
}

enum err json_put_string(struct buf *out, const char *bytes, size_t len)
{
    size_t before = out->len;
    enum err e = buf_append(out, "\"", 1);
    if (!e)
        e = json_put_escaped(out, bytes, len);
    if (!e)
        e = buf_append(out, "\"", 1);
    if (e)
        out->len = before;
    return e;
}
