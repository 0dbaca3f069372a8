/*
 * plan.c - from words to plans.
 *
 * Commands are read in place: the pieces of `say` are slices of the command itself,
 * which is the request's text and lives as long as the request.
 */
#include "plan.h"

#include <signal.h>
#include <string.h>

enum {
    PIECE_MAX = 1024 * 1024,
    SHOWN_MAX = 80, /* of a word, in messages */
};

static const struct slice mock_response[] = { { "mock-response", 13 } };
static const struct slice held[] = { { "held", 4 } };
static const struct slice dropped[] = { { "dropped", 7 } };

void plan_init(struct plan *p)
{
    *p = (struct plan){ .pieces = mock_response, .n_pieces = 1, .count = 1 };
}

void plan_done(struct plan *p)
{
    free(p->owned);
    plan_init(p);
}

void plan_cut(struct plan *p, uint64_t count, struct finale finale)
{
    if (count > p->count)
        return;
    p->count = count;
    p->finale = finale;
}

enum err plan_fill(struct plan *p, uint64_t count, uint64_t size, struct error *error)
{
    if (size < 1 || size > PIECE_MAX)
        return fail(error, ERR_INVALID_REQUEST, "size is %llu; it must be from 1 to %d",
                    (unsigned long long)size, PIECE_MAX);
    struct slice *piece = malloc(sizeof *piece + size);
    if (!piece)
        return fail_nomem(error);
    *piece = (struct slice){ memset(piece + 1, 'x', size), size };
    free(p->owned);
    p->owned = piece;
    p->pieces = piece;
    p->n_pieces = 1;
    p->count = count;
    return OK;
}

/* --- endings --------------------------------------------------------------- */

struct finale finale_dropped(void)
{
    return (struct finale){ END_REFUSE, ERR_BACKEND_UNAVAILABLE,
                            "backend ended stream without terminal frame", 0, 0 };
}

static bool same(struct slice word, const char *name)
{
    return word.len == strlen(name) && memcmp(word.at, name, word.len) == 0;
}

bool finale_failed(struct slice word, struct finale *ret)
{
    static const struct {
        const char *word;
        enum err code;
        const char *message;
    } failures[] = {
        { "not_ready", ERR_BACKEND_UNAVAILABLE, "backend not ready" },
        { "unavailable", ERR_BACKEND_UNAVAILABLE, "mock" },
        { "invalid_request", ERR_INVALID_REQUEST, "mock" },
        { "internal", ERR_INTERNAL, "mock" },
    };
    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        if (same(word, failures[i].word)) {
            *ret = (struct finale){ END_REFUSE, failures[i].code, failures[i].message, 0, 0 };
            return true;
        }
    }
    return false;
}

bool finale_crashed(struct slice name, struct finale *ret)
{
    static const struct {
        const char *name;
        int signal;
    } deadly[] = {
        { "KILL", SIGKILL }, { "SEGV", SIGSEGV }, { "ABRT", SIGABRT }, { "ILL", SIGILL },
        { "BUS", SIGBUS },   { "FPE", SIGFPE },   { "TERM", SIGTERM },
    };
    for (size_t i = 0; i < ARRAY_LEN(deadly); i++) {
        if (same(name, deadly[i].name)) {
            *ret = (struct finale){ .ending = END_CRASH, .signal = deadly[i].signal };
            return true;
        }
    }
    return false;
}

/* A word's length for "%.*s". */
static int shown(struct slice word)
{
    return word.len < SHOWN_MAX ? (int)word.len : SHOWN_MAX;
}

/* --- commands -------------------------------------------------------------- */

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The word at the front of `*rest`, which begins behind it afterwards; empty at the
 * end. */
static struct slice next_word(struct slice *rest)
{
    while (rest->len && blank(*rest->at))
        *rest = (struct slice){ rest->at + 1, rest->len - 1 };
    struct slice word = { rest->at, 0 };
    while (word.len < rest->len && !blank(word.at[word.len]))
        word.len++;
    *rest = (struct slice){ rest->at + word.len, rest->len - word.len };
    return word;
}

static size_t count_words(struct slice text)
{
    size_t n = 0;
    while (next_word(&text).len)
        n++;
    return n;
}

static enum err next_number(struct slice *rest, uint64_t highest, uint64_t *ret,
                            struct error *error)
{
    struct slice word = next_word(rest);
    uint64_t n = 0;
    for (size_t i = 0; i < word.len && n <= highest; i++) {
        if (word.at[i] < '0' || word.at[i] > '9')
            word.len = 0;
        else
            n = n * 10 + (uint64_t)(word.at[i] - '0');
    }
    if (word.len == 0 || n > highest)
        return fail(error, ERR_INVALID_REQUEST, "a number up to %llu is missing",
                    (unsigned long long)highest);
    *ret = n;
    return OK;
}

static enum err say(struct slice words, struct plan *p, struct error *error)
{
    p->count = p->n_pieces = count_words(words);
    if (p->count == 0)
        return OK;
    struct slice *pieces = calloc(p->n_pieces, sizeof *pieces);
    if (!pieces)
        return fail_nomem(error);
    pieces[0] = next_word(&words);
    for (size_t i = 1; i < p->n_pieces; i++) {
        struct slice word = next_word(&words);
        pieces[i] = (struct slice){ word.at - 1, word.len + 1 };
    }
    p->owned = pieces;
    p->pieces = pieces;
    return OK;
}

static enum err hold(struct slice none UNUSED, struct plan *p, struct error *error UNUSED)
{
    p->pieces = held;
    p->finale.ending = END_HOLD;
    return OK;
}

static enum err babble(struct slice args, struct plan *p, struct error *error)
{
    uint64_t count, size;
    enum err e = next_number(&args, UINT32_MAX, &count, error);
    if (!e)
        e = next_number(&args, PIECE_MAX, &size, error);
    return e ? e : plan_fill(p, count, size, error);
}

static enum err fail_as_told(struct slice args, struct plan *p, struct error *error)
{
    p->count = 0;
    struct slice word = next_word(&args);
    if (!finale_failed(word, &p->finale))
        return fail(error, ERR_INVALID_REQUEST, "'%.*s' is no way to fail", shown(word), word.at);
    return OK;
}

static enum err drop(struct slice none UNUSED, struct plan *p, struct error *error UNUSED)
{
    p->pieces = dropped;
    p->finale = finale_dropped();
    return OK;
}

static enum err crash(struct slice args, struct plan *p, struct error *error)
{
    p->count = 0;
    struct slice word = next_word(&args);
    if (!finale_crashed(word, &p->finale))
        return fail(error, ERR_INVALID_REQUEST, "'%.*s' is no signal to crash with", shown(word),
                    word.at);
    return OK;
}

static enum err hang(struct slice none UNUSED, struct plan *p, struct error *error UNUSED)
{
    p->count = 0;
    p->finale.ending = END_HANG;
    return OK;
}

static enum err eat(struct slice args, struct plan *p, struct error *error)
{
    p->count = 0;
    p->finale.ending = END_EAT;
    return next_number(&args, UINT32_MAX, &p->finale.mib, error);
}

enum err plan_read(struct slice command, struct plan *ret, struct error *error)
{
    static const struct {
        const char *name;
        enum err (*make)(struct slice args, struct plan *p, struct error *error);
    } commands[] = {
        { "say", say },   { "hold", hold },   { "babble", babble }, { "fail", fail_as_told },
        { "drop", drop }, { "crash", crash }, { "hang", hang },     { "eat", eat },
    };
    struct slice rest = command;
    struct slice name = next_word(&rest);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (!same(name, commands[i].name))
            continue;
        struct plan plan;
        plan_init(&plan);
        plan.prompt_tokens = count_words(command);
        enum err e = commands[i].make(rest, &plan, error);
        if (!e)
            *ret = plan;
        return e;
    }
    return fail(error, ERR_INVALID_REQUEST, "the mock engine knows no command '%.*s'", shown(name),
                name.at);
}
