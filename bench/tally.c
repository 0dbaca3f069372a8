/*
 * tally.c - see tally.h.
 */
#include "tally.h"

#include <string.h>

#include "base/json.h"

static const struct {
    const char *name;
    double percent;
} percentiles[] = { { "p50", 50 }, { "p90", 90 }, { "p99", 99 }, { "max", 100 } };

void tally_done(struct tally *t)
{
    samples_done(&t->whole);
    samples_done(&t->first);
    samples_done(&t->gaps);
}

void tally_refusal(struct tally *t, struct slice code)
{
    struct refusal wanted = { .code = "other" };
    if (code.len > 0 && code.len < sizeof wanted.code && t->n_refusals < REFUSAL_CODES_MAX) {
        memcpy(wanted.code, code.at, code.len);
        wanted.code[code.len] = '\0';
    }
    size_t i = 0;
    while (i < t->n_refusals && strcmp(t->refusals[i].code, wanted.code) != 0)
        i++;
    if (i == t->n_refusals)
        t->refusals[t->n_refusals++] = wanted;
    t->refusals[i].times++;
}

static double seconds(const struct tally *t)
{
    return (double)t->elapsed_ns / 1e9;
}

static double rate(const struct tally *t, uint64_t n)
{
    return t->elapsed_ns > 0 ? (double)n / seconds(t) : 0;
}

static double percentile_us(struct samples *s, size_t i)
{
    return (double)samples_percentile(s, percentiles[i].percent) / 1e3;
}

/* --- for people ---------------------------------------------------------------- */

static enum err put_samples(const char *title, struct samples *s, struct buf *out)
{
    enum err e = buf_printf(out, "; %s", title);
    for (size_t i = 0; !e && i < ARRAY_LEN(percentiles); i++)
        e = buf_printf(out, " %s %.1f", percentiles[i].name, percentile_us(s, i));
    return e;
}

enum err tally_put_text(struct tally *t, const struct run *run, struct buf *out)
{
    enum err e = buf_printf(out, "%s, %u connections: %zu answers in %.2f s, %.0f/s, %.0f frames/s",
                            run->protocol, run->connections, t->whole.len, seconds(t),
                            rate(t, t->whole.len), rate(t, t->frames));
    if (!e)
        e = put_samples("answer, in us:", &t->whole, out);
    if (!e)
        e = put_samples("first piece:", &t->first, out);
    if (!e && t->gaps.len)
        e = put_samples("gaps:", &t->gaps, out);
    if (!e && t->tokens)
        e = buf_printf(out, "; %.1f tokens/s", rate(t, t->tokens));
    for (size_t i = 0; !e && i < t->n_refusals; i++)
        e = buf_printf(out, "; refused with %s: %llu", t->refusals[i].code,
                       (unsigned long long)t->refusals[i].times);
    if (!e)
        e = buf_printf(out, "; lost %llu, mixed up %llu\n", (unsigned long long)t->lost,
                       (unsigned long long)t->mixed_up);
    return e;
}

/* --- for programs -------------------------------------------------------------- */

static json_t *samples_tree(struct samples *s)
{
    json_t *tree = json_object();
    for (size_t i = 0; tree && i < ARRAY_LEN(percentiles); i++) {
        if (json_object_set_new(tree, percentiles[i].name, json_real(percentile_us(s, i))) < 0) {
            json_decref(tree);
            return NULL;
        }
    }
    return tree;
}

static json_t *refusals_tree(const struct tally *t)
{
    json_t *tree = json_object();
    for (size_t i = 0; tree && i < t->n_refusals; i++) {
        json_t *times = json_integer((json_int_t)t->refusals[i].times);
        if (json_object_set_new(tree, t->refusals[i].code, times) < 0) {
            json_decref(tree);
            return NULL;
        }
    }
    return tree;
}

enum err tally_put_json(struct tally *t, const struct run *run, struct buf *out)
{
    CLEANUP(json_drop)
    json_t *tree = json_pack(
        "{ss sI sI sI sI sf sf sf sI sf so so so so sI sI}", "protocol", run->protocol,
        "connections", (json_int_t)run->connections, "prompt_bytes", (json_int_t)run->prompt_bytes,
        "max_tokens", (json_int_t)run->max_tokens, "answered", (json_int_t)t->whole.len, "seconds",
        seconds(t), "per_second", rate(t, t->whole.len), "frames_per_second", rate(t, t->frames),
        "tokens", (json_int_t)t->tokens, "tokens_per_second", rate(t, t->tokens), "answer_us",
        samples_tree(&t->whole), "first_us", samples_tree(&t->first), "gap_us",
        samples_tree(&t->gaps), "refused", refusals_tree(t), "lost", (json_int_t)t->lost,
        "mixed_up", (json_int_t)t->mixed_up);
    if (!tree)
        return ERR_NO_MEMORY;
    enum err e = json_put(out, tree);
    return e ? e : buf_append_str(out, "\n");
}
