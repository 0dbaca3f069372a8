/*
 * done.c - see done.h.
 */
#include "proto/done.h"

#include <stdio.h>
#include <string.h>

#include "proto/frame.h"

enum {
    DIGITS_MAX = 15, /* what has more is left to a real parser */
    WHOLE_MS_MAX = 12,
    MS_DECIMALS = 3,
};

const char *const stop_names[] = {
    [STOP_END] = "end",
    [STOP_LENGTH] = "length",
    [STOP_CANCELLED] = "cancelled",
    [STOP_ERROR] = "error",
};

/* Without a string that would need escaping. */
enum err done_put(struct buf *out, uint64_t serial, const struct outcome *o)
{
    char text[512];
    int n = snprintf(text, sizeof text,
                     "{\"type\":\"done\",\"serial\":%llu,\"stop_reason\":\"%s\","
                     "\"prompt_tokens\":%llu,\"completion_tokens\":%llu,"
                     "\"cached_tokens\":%llu,\"prompt_ms\":%.3f,\"first_token_ms\":%.3f,"
                     "\"generate_ms\":%.3f}",
                     (unsigned long long)serial, stop_names[o->stop],
                     (unsigned long long)o->prompt_tokens, (unsigned long long)o->completion_tokens,
                     (unsigned long long)o->cached_tokens, o->prompt_ms, o->first_token_ms,
                     o->generate_ms);
    if (n < 0 || (size_t)n >= sizeof text)
        return ERR_INTERNAL; /* a time that is none */
    return frame_put(out, FRAME_JSON, text, (size_t)n);
}

/* Step over `word`; false if `in` begins with something else. */
static bool take(struct slice *in, const char *word)
{
    size_t n = strlen(word);
    if (in->len < n || memcmp(in->at, word, n) != 0)
        return false;
    *in = (struct slice){ in->at + n, in->len - n };
    return true;
}

static bool take_stop(struct slice *in, enum stop_reason *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(stop_names); i++) {
        if (take(in, stop_names[i])) {
            *ret = (enum stop_reason)i;
            return true;
        }
    }
    return false;
}

/* At most so many digits, as JSON allows them. */
static bool take_number(struct slice *in, size_t most, uint64_t *ret)
{
    uint64_t value = 0;
    size_t n = 0;
    for (; n < in->len && in->at[n] >= '0' && in->at[n] <= '9'; n++) {
        if (n == most || (n == 1 && value == 0))
            return false;
        value = value * 10 + (uint64_t)(in->at[n] - '0');
    }
    *in = (struct slice){ in->at + n, in->len - n };
    *ret = value;
    return n > 0;
}

static bool take_ms(struct slice *in, const char *head, double *ret)
{
    uint64_t whole, thousandths = 0;
    if (!take(in, head) || !take_number(in, WHOLE_MS_MAX, &whole) || !take(in, ".") ||
        in->len < MS_DECIMALS)
        return false;
    for (size_t i = 0; i < MS_DECIMALS; i++) {
        if (in->at[i] < '0' || in->at[i] > '9')
            return false;
        thousandths = thousandths * 10 + (uint64_t)(in->at[i] - '0');
    }
    *in = (struct slice){ in->at + MS_DECIMALS, in->len - MS_DECIMALS };
    *ret = (double)(whole * 1000 + thousandths) / 1000;
    return true;
}

static bool take_count(struct slice *in, const char *head, uint64_t *ret)
{
    return take(in, head) && take_number(in, DIGITS_MAX, ret);
}

bool done_read(struct slice in, uint64_t *ret_serial, struct outcome *ret)
{
    uint64_t serial;
    struct outcome o = { 0 };
    bool plain = take_count(&in, "{\"type\":\"done\",\"serial\":", &serial) &&
                 take(&in, ",\"stop_reason\":\"") && take_stop(&in, &o.stop) &&
                 take_count(&in, "\",\"prompt_tokens\":", &o.prompt_tokens) &&
                 take_count(&in, ",\"completion_tokens\":", &o.completion_tokens) &&
                 take_count(&in, ",\"cached_tokens\":", &o.cached_tokens) &&
                 take_ms(&in, ",\"prompt_ms\":", &o.prompt_ms) &&
                 take_ms(&in, ",\"first_token_ms\":", &o.first_token_ms) &&
                 take_ms(&in, ",\"generate_ms\":", &o.generate_ms) && take(&in, "}");
    if (!plain || in.len > 0 || serial == 0)
        return false;
    *ret_serial = serial;
    *ret = o;
    return true;
}
