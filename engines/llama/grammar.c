/*
 * grammar.c - GBNF, read once and not compiled.
 *
 *     root  ::= item ("," item)* | "-" # comment
 *     item  ::= [a-z0-9]{1,8} | <[42]> | !<|end|>
 *
 * Of each rule we keep what decides how it can begin: its alternatives as lists of
 * references, and ends of what may be passed over.  Two questions are asked of these:
 * does a rule begin with itself, and in how many ways can it begin?  The second is the
 * number of stacks that llama.cpp will hold when it comes to the rule; alternatives that
 * begin alike multiply, so that forty lines can be a million million.
 */
#include "grammar.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SHOWN = 40 };

enum kind {
    TERMINAL, /* takes a character or a token, at least */
    REFERENCE,
    ALTERNATIVE, /* the next one begins */
    END,         /* of the rule */
};

struct element {
    enum kind kind;
    uint32_t rule;  /* REFERENCE */
    uint32_t times; /* it may stand there, one after the other */
    bool optional;  /* may be passed over */
};

enum mark { UNSEEN, OPEN, SEEN };

struct rule {
    struct slice name; /* empty: of a group */
    const char *where; /* it was mentioned first */
    size_t first;      /* of its elements */
    bool defined;
    bool nullable;
    enum mark mark;
    uint64_t ways;
};

struct grammar {
    struct slice text;
    const char *at;
    struct rule *rules; /* GRAMMAR_RULES_MAX of them */
    size_t n_rules;
    struct element *elements;
    size_t n_elements, elements_size;
    size_t written_out; /* elements, with repetitions */
    size_t n_made;      /* rules that repetitions add */
    unsigned depth;
    struct error *error;
};

/* --- saying what is wrong ----------------------------------------------------------- */

static enum err wrong(const struct grammar *g, const char *where, const char *fmt, ...)
    PRINTF(3, 4);

static enum err wrong(const struct grammar *g, const char *where, const char *fmt, ...)
{
    size_t line = 1, column = 1;
    char what[200];
    va_list args;
    for (const char *c = g->text.at; c < where; c++) {
        column = *c == '\n' ? 1 : column + (((uint8_t)*c & 0xC0) != 0x80);
        line += *c == '\n';
    }
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return fail(g->error, ERR_INVALID_REQUEST,
                "the grammar can't be read: line %zu, column %zu: %s", line, column, what);
}

/* --- characters --------------------------------------------------------------------- */

static bool at_end(const struct grammar *g)
{
    return g->at == g->text.at + g->text.len;
}

/* The next byte; 0 at the end. */
static char next(const struct grammar *g)
{
    return at_end(g) ? '\0' : *g->at;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-';
}

static void skip_comment(struct grammar *g)
{
    while (!at_end(g) && next(g) != '\n' && next(g) != '\r')
        g->at++;
}

static void skip_space(struct grammar *g, bool lines)
{
    for (;; g->at++) {
        char c = next(g);
        if (c == '#') {
            skip_comment(g);
            c = next(g);
        }
        if (c != ' ' && c != '\t' && !(lines && (c == '\n' || c == '\r')))
            return;
    }
}

static enum err expect(struct grammar *g, char c)
{
    if (next(g) != c)
        return wrong(g, g->at, "'%c' is missing", c);
    g->at++;
    return OK;
}

static enum err skip_hex(struct grammar *g, int digits)
{
    for (int i = 0; i < digits; i++, g->at++) {
        char c = next(g);
        if (!is_digit(c) && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F'))
            return wrong(g, g->at, "%d hexadecimal digits are needed", digits);
    }
    return OK;
}

/* One character of a string or a class, perhaps escaped. */
static enum err skip_character(struct grammar *g)
{
    if (at_end(g))
        return wrong(g, g->at, "it ends inside a string or a class");
    char c = *g->at++;
    if (c != '\\') {
        while (!at_end(g) && ((uint8_t)next(g) & 0xC0) == 0x80)
            g->at++;
        return OK;
    }
    c = next(g);
    g->at += c != '\0';
    switch (c) {
    case 'x':
        return skip_hex(g, 2);
    case 'u':
        return skip_hex(g, 4);
    case 'U':
        return skip_hex(g, 8);
    case 't':
    case 'r':
    case 'n':
    case '\\':
    case '"':
    case '[':
    case ']':
    case '-':
        return OK;
    }
    return wrong(g, g->at - 1, "an unknown escape");
}

/* A whole number; too large ones count as very large. */
static enum err read_number(struct grammar *g, uint32_t *ret)
{
    uint32_t n = 0;
    if (!is_digit(next(g)))
        return wrong(g, g->at, "a number is missing");
    for (; is_digit(next(g)); g->at++)
        n = n > 100000000 ? n : n * 10 + (uint32_t)(next(g) - '0');
    *ret = n;
    return OK;
}

/* --- rules -------------------------------------------------------------------------- */

static enum err add_rule(struct grammar *g, struct slice name, const char *where, uint32_t *ret)
{
    if (g->n_rules + g->n_made >= GRAMMAR_RULES_MAX)
        return wrong(g, where, "more than %d rules, groups and optional parts", GRAMMAR_RULES_MAX);
    *ret = (uint32_t)g->n_rules++;
    g->rules[*ret] = (struct rule){ .name = name, .where = where };
    return OK;
}

static enum err find_rule(struct grammar *g, struct slice name, uint32_t *ret)
{
    for (size_t i = 0; i < g->n_rules; i++) {
        const struct slice *known = &g->rules[i].name;
        if (known->len == name.len && memcmp(known->at, name.at, name.len) == 0) {
            *ret = (uint32_t)i;
            return OK;
        }
    }
    return add_rule(g, name, name.at, ret);
}

static enum err write_out(struct grammar *g, uint64_t n)
{
    g->written_out += n;
    if (g->written_out > GRAMMAR_ELEMENTS_MAX)
        return wrong(g, g->at, "with its repetitions written out it has more than %d parts",
                     GRAMMAR_ELEMENTS_MAX);
    return OK;
}

/* --- the elements of one rule -------------------------------------------------------- */

/* Alternatives are collected here; groups inside them finish first. */
struct list {
    struct element *at;
    size_t n, size;
};

static enum err push(struct grammar *g, struct list *list, struct element element)
{
    if (list->n == list->size) {
        size_t size = list->size ? 2 * list->size : 16;
        struct element *at = realloc(list->at, size * sizeof *at);
        if (!at)
            return fail_nomem(g->error);
        list->at = at;
        list->size = size;
    }
    list->at[list->n++] = element;
    return write_out(g, 1);
}

/* What `rule` is, now that it was read. */
static enum err define(struct grammar *g, uint32_t rule, const struct list *list)
{
    size_t n = g->n_elements + list->n;
    if (n > g->elements_size) {
        size_t size = 2 * n + 64;
        struct element *at = realloc(g->elements, size * sizeof *at);
        if (!at)
            return fail_nomem(g->error);
        g->elements = at;
        g->elements_size = size;
    }
    memcpy(g->elements + g->n_elements, list->at, list->n * sizeof *list->at);
    g->rules[rule].first = g->n_elements;
    g->rules[rule].defined = true;
    g->n_elements = n;
    return OK;
}

/* --- parsing ------------------------------------------------------------------------- */

static enum err read_string(struct grammar *g, size_t *ret_size)
{
    *ret_size = 0;
    g->at++;
    while (next(g) != '"') {
        enum err e = skip_character(g);
        if (e)
            return e;
        ++*ret_size;
    }
    g->at++;
    return OK;
}

static enum err read_class(struct grammar *g, size_t *ret_size)
{
    *ret_size = 0;
    g->at++;
    if (next(g) == '^')
        g->at++;
    while (next(g) != ']') {
        enum err e = skip_character(g);
        if (!e && next(g) == '-' && g->at + 1 < g->text.at + g->text.len && g->at[1] != ']') {
            g->at++;
            ++*ret_size;
            e = skip_character(g);
        }
        if (e)
            return e;
        ++*ret_size;
    }
    if (*ret_size == 0)
        return wrong(g, g->at, "a class without a character");
    g->at++;
    return OK;
}

/* <[42]> or <text>, perhaps behind '!' */
static enum err read_token(struct grammar *g)
{
    g->at += next(g) == '!';
    enum err e = expect(g, '<');
    if (e)
        return e;
    while (!at_end(g) && next(g) != '>')
        g->at++;
    return expect(g, '>');
}

static enum err read_alternatives(struct grammar *g, uint32_t rule, bool nested);

static enum err read_group(struct grammar *g, uint32_t *ret_rule)
{
    const char *where = g->at++;
    if (++g->depth > GRAMMAR_DEPTH_MAX)
        return wrong(g, where, "more than %d groups inside each other", GRAMMAR_DEPTH_MAX);
    enum err e = add_rule(g, (struct slice){ NULL, 0 }, where, ret_rule);
    skip_space(g, true);
    if (!e)
        e = read_alternatives(g, *ret_rule, true);
    g->depth--;
    return e ? e : expect(g, ')');
}

/* {m}, {m,} or {m,n}; UINT32_MAX: without end. */
static enum err read_counts(struct grammar *g, bool nested, uint32_t *ret_least, uint32_t *ret_most)
{
    const char *where = g->at++;
    skip_space(g, nested);
    enum err e = read_number(g, ret_least);
    if (e)
        return e;
    skip_space(g, nested);
    *ret_most = *ret_least;
    if (next(g) == ',') {
        g->at++;
        skip_space(g, nested);
        *ret_most = UINT32_MAX;
        if (is_digit(next(g)))
            e = read_number(g, ret_most);
        skip_space(g, nested);
    }
    if (!e)
        e = expect(g, '}');
    if (e)
        return e;
    if (*ret_most < *ret_least)
        return wrong(g, where, "a repetition of at least %u and at most %u", *ret_least, *ret_most);
    uint32_t largest = *ret_most == UINT32_MAX ? *ret_least : *ret_most;
    if (largest > GRAMMAR_REPEAT_MAX)
        return wrong(g, where, "a repetition of %u; at most %d", largest, GRAMMAR_REPEAT_MAX);
    return OK;
}

/* The last element of `list`, of `size` parts, comes from `least` to `most` times. */
static enum err repeat(struct grammar *g, struct list *list, size_t size, uint32_t least,
                       uint32_t most)
{
    struct element *last = &list->at[list->n - 1];
    uint64_t extra = most == UINT32_MAX ? 1 : most - least;
    last->optional |= least == 0;
    last->times = most == UINT32_MAX ? least + 1 : most;
    g->n_made += extra;
    if (g->n_rules + g->n_made > GRAMMAR_RULES_MAX)
        return wrong(g, g->at, "more than %d rules, groups and optional parts", GRAMMAR_RULES_MAX);
    return write_out(g, (uint64_t)size * (least > 1 ? least - 1 : 0) + extra * (size + 3));
}

/* '*', '+', '?' or {m,n} behind the last element. */
static enum err read_repetition(struct grammar *g, struct list *list, size_t size, bool nested)
{
    uint32_t least = next(g) == '+', most = next(g) == '?' ? 1 : UINT32_MAX;
    if (size == 0)
        return wrong(g, g->at, "'%c' follows nothing that could be repeated", next(g));
    enum err e = OK;
    if (next(g) == '{')
        e = read_counts(g, nested, &least, &most);
    else
        g->at++;
    return e ? e : repeat(g, list, size, least, most);
}

static enum err read_name(struct grammar *g, uint32_t *ret_rule)
{
    struct slice name = { g->at, 0 };
    while (is_word(next(g)))
        g->at++;
    name.len = (size_t)(g->at - name.at);
    return find_rule(g, name, ret_rule);
}

/* One element; `*ret_size` is how many parts llama.cpp makes of it. */
static enum err read_element(struct grammar *g, struct list *list, size_t *ret_size)
{
    struct element element = { .kind = TERMINAL, .times = 1 };
    enum err e = OK;
    *ret_size = 1;
    if (next(g) == '"') {
        e = read_string(g, ret_size);
        element.optional = *ret_size == 0;
    } else if (next(g) == '[') {
        e = read_class(g, ret_size);
    } else if (next(g) == '<' || next(g) == '!') {
        e = read_token(g);
    } else if (next(g) == '(') {
        element.kind = REFERENCE;
        e = read_group(g, &element.rule);
    } else if (next(g) == '.') {
        g->at++;
    } else {
        element.kind = REFERENCE;
        e = read_name(g, &element.rule);
    }
    if (!e)
        e = push(g, list, element);
    return e ? e : write_out(g, *ret_size);
}

static bool begins_element(char c)
{
    return c && (is_word(c) || strchr("\"[<!(.", c));
}

static enum err read_sequence(struct grammar *g, struct list *list, bool nested)
{
    size_t size = 0;
    for (;;) {
        enum err e;
        char c = next(g);
        if (begins_element(c))
            e = read_element(g, list, &size);
        else if (c && strchr("*+?{", c))
            e = read_repetition(g, list, size, nested);
        else
            return OK;
        if (e)
            return e;
        skip_space(g, nested);
    }
}

static enum err read_alternatives(struct grammar *g, uint32_t rule, bool nested)
{
    struct list list = { NULL, 0, 0 };
    enum err e = read_sequence(g, &list, nested);
    while (!e && next(g) == '|') {
        g->at++;
        skip_space(g, true);
        e = push(g, &list, (struct element){ .kind = ALTERNATIVE });
        if (!e)
            e = read_sequence(g, &list, nested);
    }
    if (!e)
        e = push(g, &list, (struct element){ .kind = END });
    if (!e)
        e = define(g, rule, &list);
    free(list.at);
    return e;
}

static enum err read_rule(struct grammar *g)
{
    uint32_t rule;
    if (!is_word(next(g)))
        return wrong(g, g->at, "a rule's name is missing");
    enum err e = read_name(g, &rule);
    if (e)
        return e;
    skip_space(g, false);
    for (const char *c = "::="; !e && *c; c++)
        e = expect(g, *c);
    skip_space(g, true);
    if (!e)
        e = read_alternatives(g, rule, false);
    if (!e && !at_end(g) && next(g) != '\n' && next(g) != '\r')
        e = wrong(g, g->at, "what follows does not belong to a rule");
    skip_space(g, true);
    return e;
}

static enum err read_rules(struct grammar *g)
{
    enum err e = OK;
    skip_space(g, true);
    while (!e && !at_end(g))
        e = read_rule(g);
    return e;
}

/* --- what the rules mean -------------------------------------------------------------- */

static enum err check_names(const struct grammar *g)
{
    bool root = false;
    for (size_t i = 0; i < g->n_rules; i++) {
        const struct rule *r = &g->rules[i];
        root |= r->name.len == 4 && memcmp(r->name.at, "root", 4) == 0;
        if (!r->defined)
            return wrong(g, r->where, "there is no rule '%.*s'",
                         (int)(r->name.len < NAME_SHOWN ? r->name.len : NAME_SHOWN), r->name.at);
    }
    if (!root)
        return fail(g->error, ERR_INVALID_REQUEST,
                    "the grammar can't be used: no rule is called "
                    "root");
    return OK;
}

static bool is_empty_perhaps(const struct grammar *g, const struct element *e)
{
    return e->kind == REFERENCE && g->rules[e->rule].nullable;
}

static bool passable(const struct grammar *g, const struct element *e)
{
    return e->optional || is_empty_perhaps(g, e);
}

/* Can one of the rule's alternatives be passed over? */
static bool is_nullable(const struct grammar *g, const struct rule *r)
{
    bool all = true;
    for (const struct element *e = &g->elements[r->first];; e++) {
        if (e->kind == ALTERNATIVE || e->kind == END) {
            if (all)
                return true;
            all = true;
            if (e->kind == END)
                return false;
        } else {
            all &= passable(g, e);
        }
    }
}

/* Until nothing changes: each round finds one more, or is the last. */
static void find_nullable(struct grammar *g)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = g->n_rules; i-- > 0;) {
            struct rule *r = &g->rules[i];
            if (!r->nullable && is_nullable(g, r))
                changed = r->nullable = true;
        }
    }
}

static enum err count_ways(struct grammar *g, uint32_t rule);

/* The ways to begin with the alternative at `*at`, which ends up behind it. */
static enum err count_alternative(struct grammar *g, const struct element **at, uint64_t *ways)
{
    bool begins = true;
    for (; (*at)->kind == TERMINAL || (*at)->kind == REFERENCE; ++*at) {
        if (!begins)
            continue;
        uint64_t more = 1;
        if ((*at)->kind == REFERENCE) {
            enum err e = count_ways(g, (*at)->rule);
            if (e)
                return e;
            more = g->rules[(*at)->rule].ways;
        }
        begins = passable(g, *at);
        *ways += more * (is_empty_perhaps(g, *at) ? (*at)->times : 1);
    }
    *ways += begins; /* nothing at all */
    return OK;
}

static enum err count_ways(struct grammar *g, uint32_t rule)
{
    struct rule *r = &g->rules[rule];
    if (r->mark == SEEN)
        return OK;
    if (r->mark == OPEN)
        return wrong(g, r->where, "a rule begins with itself (left recursion)");
    r->mark = OPEN;
    for (const struct element *at = &g->elements[r->first];; at++) {
        enum err e = count_alternative(g, &at, &r->ways);
        if (e)
            return e;
        if (r->ways > GRAMMAR_WAYS_MAX)
            return wrong(g, r->where, "a rule with more than %d ways to begin", GRAMMAR_WAYS_MAX);
        if (at->kind == END)
            break;
    }
    r->mark = SEEN;
    return OK;
}

static enum err check_meaning(struct grammar *g)
{
    enum err e = check_names(g);
    if (e)
        return e;
    find_nullable(g);
    for (size_t i = 0; !e && i < g->n_rules; i++)
        e = count_ways(g, (uint32_t)i);
    return e;
}

enum err grammar_check(struct slice text, struct error *error)
{
    struct grammar g = { .text = text, .at = text.at, .error = error };
    g.rules = calloc(GRAMMAR_RULES_MAX, sizeof *g.rules);
    if (!g.rules)
        return fail_nomem(error);
    enum err e = read_rules(&g);
    if (!e)
        e = check_meaning(&g);
    free(g.rules);
    free(g.elements);
    return e;
}
