/*
 * sampling.c - see sampling.h.
 */
#include "proto/sampling.h"

#include <errno.h>
#include <float.h>
#include <string.h>

#include "base/utf8.h"

enum { SHOWN_MAX = 80 }; /* bytes of a name that a message repeats */

/* --- numbers ----------------------------------------------------------------- */

static enum err read_temperature(const json_t *root, struct generate *g, struct error *error)
{
    return json_get_double(root, "temperature", 0, 2, &g->temperature, error);
}

static enum err read_top_p(const json_t *root, struct generate *g, struct error *error)
{
    double v = g->top_p;
    enum err e = json_get_double(root, "top_p", -DBL_MAX, DBL_MAX, &v, error);
    if (e)
        return e;
    if (!(v > 0 && v <= 1))
        return fail(error, ERR_INVALID_REQUEST, "top_p is %g; it must be above 0 and at most 1", v);
    g->top_p = v;
    return OK;
}

static enum err read_top_k(const json_t *root, struct generate *g, struct error *error)
{
    return json_get_u32(root, "top_k", 0, INT32_MAX, &g->top_k, error);
}

static enum err read_min_p(const json_t *root, struct generate *g, struct error *error)
{
    return json_get_double(root, "min_p", 0, 1, &g->min_p, error);
}

static enum err read_repeat(const json_t *root, struct generate *g, struct error *error)
{
    return json_get_double(root, "repeat_penalty", 0.01, 10, &g->repeat_penalty, error);
}

static enum err read_presence(const json_t *root, struct generate *g, struct error *error)
{
    return json_get_double(root, "presence_penalty", -2, 2, &g->presence_penalty, error);
}

static enum err read_frequency(const json_t *root, struct generate *g, struct error *error)
{
    return json_get_double(root, "frequency_penalty", -2, 2, &g->frequency_penalty, error);
}

static enum err read_max_tokens(const json_t *root, struct generate *g, struct error *error)
{
    return json_get_u32(root, "max_tokens", 1, INT32_MAX, &g->max_tokens, error);
}

static enum err read_seed(const json_t *root, struct generate *g, struct error *error)
{
    int64_t v = -1;
    enum err e = json_get_int(root, "seed", 0, UINT32_MAX, &v, error);
    if (e || v < 0)
        return e;
    g->has_seed = true;
    g->seed = (uint32_t)v;
    return OK;
}

/* --- text --------------------------------------------------------------------- */

static enum err read_grammar(const json_t *root, struct generate *g, struct error *error)
{
    const char *grammar = "";
    enum err e = json_get_string(root, "grammar", &grammar, error);
    if (e)
        return e;
    size_t len = strlen(grammar);
    if (len > GRAMMAR_BYTES_MAX)
        return fail(error, ERR_INVALID_REQUEST, "grammar has %zu bytes; at most %d are allowed",
                    len, GRAMMAR_BYTES_MAX);
    size_t alternatives = 0;
    for (size_t i = 0; i < len; i++)
        alternatives += grammar[i] == '|';
    if (alternatives > GRAMMAR_ALTERNATIVES_MAX)
        return fail(error, ERR_INVALID_REQUEST,
                    "grammar has %zu alternatives ('|'); at most %d are allowed", alternatives,
                    GRAMMAR_ALTERNATIVES_MAX);
    g->grammar = (struct slice){ grammar, len };
    return OK;
}

static enum err read_stop_string(const json_t *value, size_t i, struct slice *ret,
                                 struct error *error)
{
    if (!json_is_string(value))
        return fail(error, ERR_PROTOCOL, "stop[%zu] must be a string", i);
    size_t len = json_string_length(value);
    if (len < 1 || len > STOP_BYTES_MAX)
        return fail(error, ERR_INVALID_REQUEST,
                    "stop[%zu] has %zu bytes; it must have from 1 to %d", i, len, STOP_BYTES_MAX);
    *ret = (struct slice){ json_string_value(value), len };
    return OK;
}

static enum err read_stop(const json_t *root, struct generate *g, struct error *error)
{
    const json_t *list = json_object_get(root, "stop");
    if (!list || json_is_null(list))
        return OK;
    if (!json_is_array(list))
        return fail(error, ERR_PROTOCOL, "stop must be an array of strings");
    size_t n = json_array_size(list);
    if (n < 1 || n > STOPS_MAX)
        return fail(error, ERR_INVALID_REQUEST, "stop has %zu strings; it must have from 1 to %d",
                    n, STOPS_MAX);
    for (size_t i = 0; i < n; i++) {
        enum err e = read_stop_string(json_array_get(list, i), i, &g->stop[i], error);
        if (e)
            return e;
    }
    g->n_stop = n;
    return OK;
}

/* --- logit_bias ----------------------------------------------------------------- */

/* The bytes of a member's name that a message shows. */
static int shown(const char *key)
{
    size_t len = strlen(key);
    return (int)(len > SHOWN_MAX ? utf8_whole(key, SHOWN_MAX) : len);
}

/* The one way to write a token's number, so that no two members are about the same. */
static bool parse_token(const char *text, uint32_t *ret)
{
    char *end;
    if (text[0] < '0' || text[0] > '9' || (text[0] == '0' && text[1]))
        return false;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (*end || errno || v > INT32_MAX)
        return false;
    *ret = (uint32_t)v;
    return true;
}

static enum err read_bias(const char *key, const json_t *value, struct logit_bias *ret,
                          struct error *error)
{
    if (!json_is_number(value))
        return fail(error, ERR_PROTOCOL, "logit_bias[\"%.*s\"] must be a number", shown(key), key);
    double bias = json_number_value(value);
    if (!parse_token(key, &ret->token))
        return fail(error, ERR_INVALID_REQUEST,
                    "logit_bias has a member \"%.*s\"; its members are tokens, from 0 to %d",
                    shown(key), key, INT32_MAX);
    if (!(bias >= -100 && bias <= 100))
        return fail(error, ERR_INVALID_REQUEST,
                    "logit_bias[\"%s\"] is %g; it must be from -100 to 100", key, bias);
    ret->bias = (float)bias;
    return OK;
}

static enum err read_logit_bias(const json_t *root, struct generate *g, struct error *error)
{
    json_t *object = json_object_get(root, "logit_bias");
    if (!object || json_is_null(object))
        return OK;
    if (!json_is_object(object))
        return fail(error, ERR_PROTOCOL, "logit_bias must be an object of numbers");
    size_t n = json_object_size(object);
    if (n > LOGIT_BIASES_MAX)
        return fail(error, ERR_INVALID_REQUEST,
                    "logit_bias has %zu members; at most %d are allowed", n, LOGIT_BIASES_MAX);
    free(g->logit_bias);
    g->n_logit_bias = 0;
    g->logit_bias = calloc(n + 1, sizeof *g->logit_bias);
    if (!g->logit_bias)
        return fail_nomem(error);

    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        enum err e = read_bias(key, value, &g->logit_bias[g->n_logit_bias], error);
        if (e)
            return e;
        g->n_logit_bias++;
    }
    return OK;
}

const sampling_field sampling_fields[SAMPLING_FIELDS] = {
    read_temperature, read_top_p,      read_top_k, read_min_p,   read_repeat, read_presence,
    read_frequency,   read_max_tokens, read_seed,  read_grammar, read_stop,   read_logit_bias,
};

/* --- writing ------------------------------------------------------------------- */

static enum err put_number(struct buf *out, const char *name, double value, double unless)
{
    if (value == unless)
        return OK;
    return buf_printf(out, ",\"%s\":%.17g", name, value);
}

static enum err put_numbers(struct buf *out, const struct generate *g)
{
    enum err e =
        buf_printf(out, ",\"temperature\":%.17g,\"top_p\":%.17g,\"top_k\":%u,\"max_tokens\":%u",
                   g->temperature, g->top_p, g->top_k, g->max_tokens);
    if (!e)
        e = put_number(out, "min_p", g->min_p, 0);
    if (!e)
        e = put_number(out, "repeat_penalty", g->repeat_penalty, 1);
    if (!e)
        e = put_number(out, "presence_penalty", g->presence_penalty, 0);
    if (!e)
        e = put_number(out, "frequency_penalty", g->frequency_penalty, 0);
    if (!e && g->has_seed)
        e = buf_printf(out, ",\"seed\":%u", g->seed);
    return e;
}

static enum err put_stop(struct buf *out, const struct generate *g)
{
    enum err e = OK;
    for (size_t i = 0; !e && i < g->n_stop; i++) {
        e = buf_append_str(out, i ? "," : ",\"stop\":[");
        if (!e)
            e = json_put_string(out, g->stop[i].at, g->stop[i].len);
    }
    return e || !g->n_stop ? e : buf_append_str(out, "]");
}

static enum err put_logit_bias(struct buf *out, const struct generate *g)
{
    enum err e = OK;
    for (size_t i = 0; !e && i < g->n_logit_bias; i++)
        e = buf_printf(out, "%s\"%u\":%.9g", i ? "," : ",\"logit_bias\":{", g->logit_bias[i].token,
                       (double)g->logit_bias[i].bias);
    return e || !g->n_logit_bias ? e : buf_append_str(out, "}");
}

enum err sampling_put(struct buf *out, const struct generate *g)
{
    enum err e = put_numbers(out, g);
    if (!e && g->grammar.len) {
        e = buf_append_str(out, ",\"grammar\":");
        if (!e)
            e = json_put_string(out, g->grammar.at, g->grammar.len);
    }
    if (!e)
        e = put_stop(out, g);
    if (!e)
        e = put_logit_bias(out, g);
    return e;
}
