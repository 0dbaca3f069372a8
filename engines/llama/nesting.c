/*
 * nesting.c - a tokenizer of Jinja that only counts.
 *
 * Two kinds of depth add up: blocks, which last from `{% if %}` to `{% endif %}`
 * and grow by one with each `elif`; and what is inside one tag, open brackets and the
 * words after which the parser calls itself for the rest.
 */
#include "nesting.h"

#include <ctype.h>
#include <string.h>

struct counts {
    const char *text;
    size_t len, at;
    size_t layers[NESTING_MAX]; /* of each open block: 1, and its `elif`s */
    size_t n_blocks;
    size_t depth;    /* the sum of `layers` */
    size_t brackets; /* open in this tag */
    size_t chained;  /* `not`, `else` and signs in this tag */
    size_t words;    /* of this tag */
};

static enum err check_depth(const struct counts *c, struct error *error)
{
    size_t depth = c->depth + c->brackets + c->chained;
    if (depth > NESTING_MAX)
        return fail(error, ERR_CONFIG, "it is nested deeper than %d at byte %zu", NESTING_MAX,
                    c->at);
    if (c->words > TAG_WORDS_MAX)
        return fail(error, ERR_CONFIG, "a tag of it has more than %d words at byte %zu",
                    TAG_WORDS_MAX, c->at);
    return OK;
}

static bool is(struct slice word, const char *name)
{
    return word.len == strlen(name) && memcmp(word.at, name, word.len) == 0;
}

static bool is_one_of(struct slice word, const char *const *names)
{
    for (; *names; names++)
        if (is(word, *names))
            return true;
    return false;
}

/* --- blocks ---------------------------------------------------------------- */

static const char *const opening[] = { "if", "for", "macro", "call", "filter", NULL };
static const char *const closing[] = { "endif",   "endfor",    "endmacro", "endset",
                                       "endcall", "endfilter", NULL };

static enum err open_block(struct counts *c, struct error *error)
{
    if (c->n_blocks == NESTING_MAX)
        return fail(error, ERR_CONFIG, "it is nested deeper than %d at byte %zu", NESTING_MAX,
                    c->at);
    c->layers[c->n_blocks++] = 1;
    c->depth++;
    return OK;
}

static void close_block(struct counts *c)
{
    if (c->n_blocks > 0)
        c->depth -= c->layers[--c->n_blocks];
}

/* `set` without "=" opens a block, too. */
static enum err count_statement(struct counts *c, struct slice name, bool assigns,
                                struct error *error)
{
    if (is_one_of(name, opening) || (is(name, "set") && !assigns))
        return open_block(c, error);
    if (is_one_of(name, closing)) {
        close_block(c);
    } else if (is(name, "elif") && c->n_blocks > 0) {
        c->layers[c->n_blocks - 1]++;
        c->depth++;
    }
    return OK;
}

/* --- one tag --------------------------------------------------------------- */

static void skip_text(struct counts *c)
{
    char quote = c->text[c->at++];
    while (c->at < c->len && c->text[c->at] != quote)
        c->at += c->text[c->at] == '\\' ? 2 : 1;
    c->at++;
}

static struct slice take_name(struct counts *c)
{
    size_t from = c->at;
    while (c->at < c->len && (isalnum((unsigned char)c->text[c->at]) || c->text[c->at] == '_'))
        c->at++;
    return (struct slice){ c->text + from, c->at - from };
}

static void count_sign(struct counts *c, char sign)
{
    if (sign == '(' || sign == '[' || sign == '{')
        c->brackets++;
    else if ((sign == ')' || sign == ']' || sign == '}') && c->brackets > 0)
        c->brackets--;
}

/* The `}` of "%}" or "}}" ends a tag, inside a dictionary only the former. */
static bool ends_here(const struct counts *c, char kind)
{
    return c->text[c->at] == kind && c->at + 1 < c->len && c->text[c->at + 1] == '}' &&
           (kind == '%' || c->brackets == 0);
}

/* Signs that follow each other are a chain of unary operators. */
static enum err count_tag(struct counts *c, char kind, struct error *error)
{
    static const char *const recursive[] = { "not", "else", NULL };
    struct slice name = { NULL, 0 };
    bool assigns = false, after_sign = false;
    enum err e = OK;
    c->brackets = c->chained = c->words = 0;
    while (!e && c->at < c->len && !ends_here(c, kind)) {
        char sign = c->text[c->at];
        if (isspace((unsigned char)sign)) {
            c->at++;
            continue;
        }
        c->words++;
        if (sign == '"' || sign == '\'') {
            skip_text(c);
        } else if (isalnum((unsigned char)sign) || sign == '_') {
            struct slice word = take_name(c);
            name = name.at ? name : word;
            c->chained += is_one_of(word, recursive);
        } else {
            c->chained += after_sign && (sign == '-' || sign == '+');
            assigns = assigns || sign == '=';
            count_sign(c, sign);
            c->at++;
        }
        after_sign = strchr("-+", sign) != NULL;
        e = check_depth(c, error);
    }
    c->brackets = c->chained = 0;
    return e || kind != '%' || !name.at ? e : count_statement(c, name, assigns, error);
}

static void skip_comment(struct counts *c)
{
    const char *end = memmem(c->text + c->at, c->len - c->at, "#}", 2);
    c->at = end ? (size_t)(end - c->text) : c->len;
}

enum err nesting_check(const char *text, size_t len, struct error *error)
{
    struct counts c = { .text = text, .len = len };
    enum err e = OK;
    while (!e && c.at + 1 < len) {
        char kind = text[c.at + 1];
        if (text[c.at] != '{' || !memchr("{%#", kind, 3)) {
            c.at++;
            continue;
        }
        c.at += 2;
        if (kind == '#')
            skip_comment(&c);
        else
            e = count_tag(&c, kind == '{' ? '}' : '%', error);
        c.at += 2; /* its end */
        if (!e)
            e = check_depth(&c, error);
    }
    return e;
}
