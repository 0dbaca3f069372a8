/*
 * separate.c - see separate.h.
 *
 * A verdict is what the parser says of the whole text: so much thinking, so much answer.
 * It settles the matter until the next marker if one of the two ends as the text does:
 * then whatever follows belongs to that one, byte for byte.
 *
 * What was told stays told.  Where a later verdict has less of a kind (a parser may trim
 * what turned out to be the end), nothing is added; text that no verdict can be had for
 * is the answer.
 */
#include "separate.h"

#include <string.h>

#include "base/clock.h"
#include "match.h"

enum {
    ASK_AGAIN_BYTES = 64,
    ASK_AGAIN_US = 50 * 1000,
    SAME_END_BYTES = 16, /* of the text and of a kind, to believe that they end alike */
};

struct separator {
    const struct chat *chat; /* borrowed */
    struct match *markers;   /* owned */
    struct buf text;         /* all of it */
    struct buf verdict[2];   /* by enum text_kind; scratch */
    size_t told[2];          /* of each kind, bytes */

    bool settled;        /* what follows is of the kind `kind` */
    enum text_kind kind; /* if settled */
    size_t n_assigned;   /* settled: bytes of the text that were told, or left out */
    bool open;           /* something came that the parser has not seen */
    size_t asked_len;    /* of the text, at the last verdict */
    int64_t asked_us;
};

enum err separator_new(const struct chat *chat, struct separator **ret)
{
    struct slice markers[CHAT_MARKERS_MAX];
    size_t n = chat_markers(chat, markers);
    *ret = NULL;
    if (n == 0)
        return OK;
    struct separator *s = calloc(1, sizeof *s);
    if (!s)
        return ERR_NO_MEMORY;
    s->chat = chat;
    s->open = true;
    buf_init(&s->text, 2 * ANSWER_BYTES_MAX);
    for (size_t i = 0; i < ARRAY_LEN(s->verdict); i++)
        buf_init(&s->verdict[i], 2 * ANSWER_BYTES_MAX);
    enum err e = match_new(markers, n, &s->markers);
    if (e)
        separator_free(s);
    else
        *ret = s;
    return e;
}

void separator_free(struct separator *s)
{
    if (!s)
        return;
    match_free(s->markers);
    buf_done(&s->text);
    for (size_t i = 0; i < ARRAY_LEN(s->verdict); i++)
        buf_done(&s->verdict[i]);
    free(s);
}

/* --- the parser ---------------------------------------------------------------- */

/* Do the text's first `end` bytes end as the verdict on `kind` does? */
static bool ends_alike(const struct separator *s, enum text_kind kind, size_t end)
{
    const struct buf *v = &s->verdict[kind];
    size_t n = v->len < SAME_END_BYTES ? v->len : SAME_END_BYTES;
    n = n < end ? n : end; /* a verdict may begin with the end of the prompt */
    return n > 0 && memcmp(v->at + v->len - n, s->text.at + end - n, n) == 0;
}

/* Tell what the verdict has beyond what was told. */
static enum err tell(struct separator *s, enum text_kind kind, struct buf *out)
{
    const struct buf *v = &s->verdict[kind];
    if (v->len <= s->told[kind])
        return OK;
    enum err e = buf_append(out, v->at + s->told[kind], v->len - s->told[kind]);
    s->told[kind] = v->len;
    return e;
}

/* ERR_PROTOCOL: the parser can't make anything of the text. */
static enum err ask(struct separator *s, bool whole, struct buf *thinking, struct buf *answer)
{
    s->asked_len = s->text.len;
    s->asked_us = clock_us();
    s->settled = false;
    enum err e = chat_separate(s->chat, (struct slice){ s->text.at, s->text.len }, whole,
                               &s->verdict[TEXT_THINKING], &s->verdict[TEXT_ANSWER]);
    if (!e)
        e = tell(s, TEXT_THINKING, thinking);
    if (!e)
        e = tell(s, TEXT_ANSWER, answer);
    if (e)
        return e;
    s->open = false;
    s->kind = s->verdict[TEXT_ANSWER].len ? TEXT_ANSWER : TEXT_THINKING;
    s->settled = ends_alike(s, s->kind, s->text.len);
    s->n_assigned = s->text.len;
    return OK;
}

static bool may_ask(const struct separator *s)
{
    return s->text.len - s->asked_len >= ASK_AGAIN_BYTES || s->asked_len < ASK_AGAIN_BYTES ||
           clock_us() - s->asked_us >= ASK_AGAIN_US;
}

/* --- text ------------------------------------------------------------------------ */

/* Is there a marker in the new text, from `at` on? */
static bool see_markers(struct separator *s, size_t at)
{
    bool came = false;
    for (; at < s->text.len; at++)
        came |= match_feed(s->markers, s->text.at[at]) > 0;
    return came;
}

/* The text up to `end` is of the kind that is settled. */
static enum err assign(struct separator *s, size_t end, struct buf *thinking, struct buf *answer)
{
    if (end <= s->n_assigned)
        return OK;
    size_t n = end - s->n_assigned;
    enum err e =
        buf_append(s->kind == TEXT_ANSWER ? answer : thinking, s->text.at + s->n_assigned, n);
    s->told[s->kind] += n;
    s->n_assigned = end;
    return e;
}

enum err separator_add(struct separator *s, struct slice text, struct buf *thinking,
                       struct buf *answer)
{
    size_t before = s->text.len;
    if (text.len == 0)
        return OK;
    enum err e = buf_append(&s->text, text.at, text.len);
    if (e)
        return e;
    if (see_markers(s, before) || !s->settled)
        s->open = true;
    size_t pending = match_pending(s->markers);
    if (!s->open)
        return assign(s, s->text.len - pending, thinking, answer);
    if (pending || !may_ask(s))
        return OK;
    e = ask(s, false, thinking, answer);
    return e == ERR_PROTOCOL ? OK : e;
}

/* What could have become a marker and did not is text, which a parser may leave out. */
static enum err assign_rest(struct separator *s, struct buf *thinking, struct buf *answer)
{
    size_t end = s->text.len - match_pending(s->markers);
    if (s->settled || !ends_alike(s, s->kind, end))
        return OK;
    s->n_assigned = end;
    return assign(s, s->text.len, thinking, answer);
}

enum err separator_end(struct separator *s, struct buf *thinking, struct buf *answer)
{
    if (!s || s->text.len == 0)
        return OK;
    if (!s->open && s->settled)
        return assign(s, s->text.len, thinking, answer);
    enum err e = ask(s, true, thinking, answer);
    if (!e)
        return assign_rest(s, thinking, answer);
    if (e == ERR_PROTOCOL && s->told[TEXT_THINKING] + s->told[TEXT_ANSWER] == 0)
        return buf_append(answer, s->text.at, s->text.len);
    if (e == ERR_PROTOCOL)
        e = ask(s, false, thinking, answer);
    return e == ERR_PROTOCOL ? OK : e;
}
