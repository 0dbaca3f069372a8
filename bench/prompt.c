/*
 * prompt.c - see prompt.h.
 */
#include "prompt.h"

#include <string.h>

/* Each is one token in the vocabularies that we measure with, its blank included. */
static const char *const words[] = {
    "time", "year",   "people",  "way",    "day",      "man",    "thing",   "woman",
    "life", "child",  "world",   "school", "state",    "family", "group",   "hand",
    "part", "place",  "case",    "week",   "company",  "system", "program", "question",
    "work", "number", "night",   "point",  "home",     "water",  "room",    "mother",
    "area", "money",  "story",   "fact",   "month",    "lot",    "right",   "study",
    "book", "eye",    "job",     "word",   "business", "issue",  "side",    "kind",
    "head", "house",  "service", "friend", "father",   "power",  "hour",    "game",
    "line", "end",    "member",  "law",    "car",      "city",   "name",    "team",
};

/* splitmix64: every bit of what comes out depends on every bit of what goes in. */
static uint64_t mix(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static enum err put_words(uint64_t seed, uint32_t n, struct buf *out)
{
    enum err e = OK;
    for (uint32_t i = 0; !e && i < n; i++) {
        seed = mix(seed);
        e = buf_printf(out, "%s%s", i ? " " : "", words[seed % ARRAY_LEN(words)]);
    }
    return e;
}

static enum err put_letters(uint32_t n, struct buf *out)
{
    enum err e = buf_reserve(out, n);
    if (e)
        return e;
    memset(out->at + out->len, 'x', n);
    out->len += n;
    return OK;
}

static enum err put_system(const struct shape *shape, uint64_t serial, struct buf *out)
{
    uint64_t which = serial % shape->systems;
    enum err e = buf_append_str(out, "{\"role\":\"system\",\"content\":\"");
    if (!e)
        e = put_words(mix(shape->salt) ^ mix(~which), shape->system_words, out);
    if (!e)
        e = buf_append_str(out, "\"},");
    return e;
}

enum err prompt_put_messages(const struct shape *shape, uint64_t serial, struct buf *out)
{
    enum err e = buf_append_str(out, "\"messages\":[");
    if (!e && shape->system_words)
        e = put_system(shape, serial, out);
    if (!e)
        e = buf_append_str(out, "{\"role\":\"user\",\"content\":\"");
    if (!e && shape->words)
        e = put_words(mix(shape->salt) ^ serial, shape->words, out);
    else if (!e)
        e = put_letters(shape->prompt_bytes, out);
    if (!e)
        e = buf_append_str(out, "\"}]");
    return e;
}
