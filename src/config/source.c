/*
 * source.c - see source.h.
 *
 * The parser keeps no lines, so a line is found by walking the text again, once per
 * sentence.  The text has been parsed: the walk need not doubt it, only stay inside.
 */
#include "config/source.h"

#include <stdio.h>
#include <string.h>

enum { SENTENCE_MAX = 1024 };

struct spot spot_member(const struct spot *up, const char *key)
{
    const json_t *value = json_object_get(up->value, key);
    return (struct spot){ .up = up, .key = key, .value = json_is_null(value) ? NULL : value };
}

/* --- names ------------------------------------------------------------------ */

static void add(char *name, const char *fmt, ...) PRINTF(2, 3);

static void add(char *name, const char *fmt, ...)
{
    size_t len = strlen(name);
    va_list args;
    va_start(args, fmt);
    vsnprintf(name + len, SPOT_NAME_MAX - len, fmt, args);
    va_end(args);
}

void spot_name(const struct spot *spot, char name[SPOT_NAME_MAX])
{
    name[0] = '\0';
    if (!spot->up)
        return;
    spot_name(spot->up, name);
    const char *own = json_string_value(json_object_get(spot->value, "name"));
    if (spot->key)
        add(name, "%s%.80s", name[0] ? "." : "", spot->key);
    else if (own && own[0])
        add(name, "[\"%.80s\"]", own);
    else
        add(name, "[%zu]", spot->index);
}

/* --- lines ------------------------------------------------------------------ */

struct walk {
    const char *at, *end;
};

static char peek(const struct walk *w)
{
    return w->at < w->end ? *w->at : '\0';
}

static void skip_space(struct walk *w)
{
    while (w->at < w->end && strchr(" \t\r\n", *w->at))
        w->at++;
}

static void skip_string(struct walk *w)
{
    for (w->at++; w->at < w->end && *w->at != '"'; w->at++)
        if (*w->at == '\\')
            w->at++;
    w->at++;
}

/* A whole value.  What stands inside of brackets need not be understood. */
static void skip_value(struct walk *w)
{
    unsigned depth = 0;
    do {
        char c = peek(w);
        if (c == '"') {
            skip_string(w);
        } else if (c == '{' || c == '[') {
            depth++;
            w->at++;
        } else if (c == '}' || c == ']') {
            depth--;
            w->at++;
        } else if (depth > 0) {
            w->at++;
        } else {
            while (w->at < w->end && !strchr(",]} \t\r\n", *w->at))
                w->at++;
        }
    } while (depth > 0 && w->at < w->end);
}

/* Is the string of the text from `from` to `to`, quotes included, this key? */
static bool is_key(const char *from, const char *to, const char *key)
{
    CLEANUP(json_drop)
    json_t *string = json_loadb(from, (size_t)(to - from), JSON_DECODE_ANY, NULL);
    return string && strcmp(json_string_value(string), key) == 0;
}

/* Over a key and its colon, to the value; was it this one? */
static bool pass_key(struct walk *w, const char *key)
{
    const char *from = w->at;
    skip_string(w);
    bool right = is_key(from, w->at, key);
    skip_space(w);
    w->at++;
    skip_space(w);
    return right;
}

/* To the value of the key, or to the entry, of the object or list that begins here.
 * `ret_from` is where its key is, or else the entry itself. */
static bool walk_into(struct walk *w, const struct spot *spot, const char **ret_from)
{
    if (peek(w) != (spot->key ? '{' : '['))
        return false;
    char close = spot->key ? '}' : ']';
    w->at++;
    for (size_t i = 0;; i++) {
        skip_space(w);
        *ret_from = w->at;
        if (w->at >= w->end || peek(w) == close)
            return false;
        if (spot->key ? pass_key(w, spot->key) : i == spot->index)
            return true;
        skip_value(w);
        skip_space(w);
        if (peek(w) == ',')
            w->at++;
    }
}

/* Where `spot` begins; NULL if it is not there.  `value` is where its value does. */
static const char *find(const struct source *source, const struct spot *spot, struct walk *value)
{
    if (!spot->up) {
        *value = (struct walk){ source->text, source->text + source->len };
        skip_space(value);
        return value->at;
    }
    const char *from;
    return find(source, spot->up, value) && walk_into(value, spot, &from) ? from : NULL;
}

unsigned spot_line(const struct source *source, const struct spot *spot)
{
    struct walk value;
    const char *at = NULL;
    for (; spot && !at; spot = spot->up)
        at = find(source, spot, &value);
    unsigned line = 1;
    for (const char *p = source->text; p < at; p++)
        line += *p == '\n';
    return line;
}

/* --- sentences -------------------------------------------------------------- */

static void say(const struct source *source, const struct spot *spot, bool wrong, bool named,
                const char *fmt, va_list args)
{
    char sentence[SENTENCE_MAX], name[SPOT_NAME_MAX] = "", line[16] = "";
    vsnprintf(sentence, sizeof sentence, fmt, args);
    if (named)
        spot_name(spot, name);
    if (source->text && source->findings->n < FINDINGS_MAX)
        snprintf(line, sizeof line, "%u:", spot_line(source, spot));
    char *text;
    int n = asprintf(&text, "%s%s:%s %s%s%s", wrong && source->text ? "invalid config: " : "",
                     source->path, line, name, name[0] ? " " : "", sentence);
    if (n < 0) {
        source->findings->incomplete = true;
        return;
    }
    findings_add(source->findings, wrong, text);
    free(text);
}

void wrong_at(const struct source *source, const struct spot *spot, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(source, spot, true, false, fmt, args);
    va_end(args);
}

void wrong_value(const struct source *source, const struct spot *spot, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(source, spot, true, true, fmt, args);
    va_end(args);
}

void unused_value(const struct source *source, const struct spot *spot, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(source, spot, false, true, fmt, args);
    va_end(args);
}
