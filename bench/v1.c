/*
 * v1.c - the v1 wire, as a client that wants to spend no time on it.
 *
 * Of an answer's frames only `type`, `id` and `code` are of interest.  They are
 * picked out of the top level of the object in one pass, without a tree; what is
 * nested is skipped, strings and all.  Ids are numbers in quotes, so they need no
 * escaping and are compared as they stand.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol.h"

enum { SHOWN_MAX = 120 }; /* bytes of a frame that a message repeats */

static enum err put_request(const struct shape *shape, uint64_t serial, struct buf *out)
{
    enum err e = buf_printf(out, "{\"id\":\"%llu\",\"max_tokens\":%u,", (unsigned long long)serial,
                            shape->max_tokens);
    if (!e)
        e = prompt_put_messages(shape, serial, out);
    return e ? e : buf_append_str(out, "}\n");
}

/* --- picking members out of an object ---------------------------------------- */

/* The line, and how far it was read. */
struct cursor {
    const char *at;
    const char *end;
};

struct members {
    struct slice type;
    struct slice id;
    struct slice code;
};

static bool more(const struct cursor *c)
{
    return c->at < c->end;
}

static void skip_blanks(struct cursor *c)
{
    while (more(c) && (*c->at == ' ' || *c->at == '\t' || *c->at == '\r'))
        c->at++;
}

/* Step over `byte`, blanks before it included; false if something else stands there. */
static bool take(struct cursor *c, char byte)
{
    skip_blanks(c);
    if (!more(c) || *c->at != byte)
        return false;
    c->at++;
    return true;
}

static bool take_string(struct cursor *c, struct slice *ret)
{
    if (!take(c, '"'))
        return false;
    const char *start = c->at;
    while (more(c) && *c->at != '"')
        c->at += *c->at == '\\' ? 2 : 1;
    if (!more(c))
        return false;
    *ret = (struct slice){ start, (size_t)(c->at - start) };
    c->at++;
    return true;
}

/* A value that is no string. */
static bool skip_value(struct cursor *c)
{
    unsigned depth = 0;
    struct slice ignored;
    while (more(c)) {
        char byte = *c->at;
        if (depth == 0 && (byte == ',' || byte == '}' || byte == ']'))
            return byte != ']';
        if (byte == '"' && !take_string(c, &ignored))
            return false;
        if (byte == '"')
            continue;
        depth += byte == '{' || byte == '[';
        depth -= byte == '}' || byte == ']';
        c->at++;
    }
    return false;
}

static struct slice *wanted(struct members *m, struct slice key)
{
    const struct {
        const char *name;
        struct slice *at;
    } members[] = { { "type", &m->type }, { "id", &m->id }, { "code", &m->code } };
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (key.len == strlen(members[i].name) && memcmp(key.at, members[i].name, key.len) == 0)
            return members[i].at;
    return NULL;
}

static bool take_member(struct cursor *c, struct members *ret)
{
    struct slice key;
    if (!take_string(c, &key) || !take(c, ':'))
        return false;
    skip_blanks(c);
    if (!more(c) || *c->at != '"')
        return skip_value(c);
    struct slice value;
    struct slice *place = wanted(ret, key);
    return take_string(c, place ? place : &value);
}

static bool read_members(struct slice line, struct members *ret)
{
    struct cursor c = { line.at, line.at + line.len };
    if (!take(&c, '{'))
        return false;
    do {
        if (!take_member(&c, ret))
            return false;
    } while (take(&c, ','));
    if (!take(&c, '}'))
        return false;
    skip_blanks(&c);
    return !more(&c);
}

/* --- replies ------------------------------------------------------------------ */

/* As `usage` says.  The answer itself can't say it: its quotes are escaped. */
static uint64_t count_tokens(struct slice line)
{
    static const char name[] = "\"completion_tokens\":";
    const char *at = memmem(line.at, line.len, name, strlen(name));
    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static bool same(struct slice text, const char *word)
{
    return text.len == strlen(word) && memcmp(text.at, word, text.len) == 0;
}

static bool kind_of(struct slice type, enum reply_kind *ret)
{
    if (same(type, "token"))
        *ret = REPLY_PIECE;
    else if (same(type, "done"))
        *ret = REPLY_DONE;
    else if (same(type, "error"))
        *ret = REPLY_REFUSED;
    else
        return false;
    return true;
}

static enum err read_reply(struct slice in, uint64_t serial, struct reply *ret, struct error *error)
{
    const char *newline = in.len ? memchr(in.at, '\n', in.len) : NULL;
    if (!newline)
        return ERR_AGAIN;
    struct slice line = { in.at, (size_t)(newline - in.at) };
    int shown = (int)(line.len < SHOWN_MAX ? line.len : SHOWN_MAX);
    struct members m = { 0 };
    struct reply reply = { .len = line.len + 1 };
    if (!read_members(line, &m) || !m.id.at || !kind_of(m.type, &reply.kind))
        return fail(error, ERR_PROTOCOL, "no frame of an answer: %.*s", shown, line.at);

    char id[24];
    snprintf(id, sizeof id, "%llu", (unsigned long long)serial);
    if (!same(m.id, id))
        return fail(error, ERR_MISMATCH, "waiting for id \"%s\" and got %.*s", id, shown, line.at);
    reply.code = m.code;
    reply.has_text = reply.kind == REPLY_PIECE;
    reply.tokens = reply.kind == REPLY_DONE ? count_tokens(line) : 0;
    *ret = reply;
    return OK;
}

const struct protocol protocol_v1 = {
    .name = "v1",
    .put_request = put_request,
    .read_reply = read_reply,
};
