/*
 * redact.c - one pattern after the other, each over the whole line.
 *
 * The order matters where patterns overlap: the first to match names the secret, and what
 * stands in its place matches nothing.  Those that the reference has come first, in its
 * order.  A pattern is tried only where its hint, a word that it can't match without,
 * stands in the line: in a line as the log has them, none does.
 *
 * Patterns run interpreted: pcre2's compiler needs memory that is writable and executable,
 * which a hardened service does not get.  Every repetition is possessive or bounded, so
 * that no line can make one search for long, and limits stand behind that.
 */
#include "journal/redact.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <ctype.h>
#include <pcre2.h>
#include <string.h>

enum {
    MATCH_LIMIT = 100000,
    DEPTH_LIMIT = 1000,
    HEAP_LIMIT_KIB = 1024,
};

/* A quotation mark inside of a JSON string, or one that needs no escape. */
#define QUOTE "(?:\\\\\"|')?+"
/* The bytes of a value: it ends with its string, and with whatever separates. */
#define VALUE "[^\\s\"'\\\\,;&}]"

/* clang-format off */
#define PAIR(word) { word, "(?i)" word QUOTE "\\s{0,4}+[:=]\\s{0,4}+" QUOTE VALUE "{4,}+", \
                     "[REDACTED:secret-kv]", true }
#define KEY(head, tail) { head, "(?<![A-Za-z0-9])" head tail, "[REDACTED:api-key]", false }

static const struct {
    const char *hint; /* every match holds it, whatever its case */
    const char *pattern;
    const char *instead;
    bool whole; /* no letter, digit or underscore follows the hint: "token", not "tokens" */
} rules[] = {
    { "authorization", "(?i)authorization" QUOTE "\\s{0,4}+[:=]?\\s{0,4}+" QUOTE
                       "(?:bearer|basic|token)\\s{1,4}+" VALUE "{8,}+", "[REDACTED:auth-header]", false },
    PAIR("password"), PAIR("passwd"), PAIR("pwd"),
    PAIR("api_key"), PAIR("api-key"), PAIR("apikey"),
    PAIR("secret"), PAIR("token"),
    { "eyj", "eyJ[\\w-]{8,}+\\.[\\w-]{4,}+(?:\\.[\\w-]++)?", "[REDACTED:jwt]", false },
    KEY("sk-", "[\\w-]{16,}+"),
    KEY("xox", "[a-z]-[A-Za-z0-9-]{10,}+"),
    KEY("gh", "[oprsu]_\\w{20,}+"),
    KEY("pat-", "[A-Za-z0-9]{16,}+"),
    KEY("thingspat_", "\\w{16,}+"),
    { "akia", "AKIA[0-9A-Z]{16}", "[REDACTED:aws-access]", false },
    { "asia", "ASIA[0-9A-Z]{16}", "[REDACTED:aws-session]", false },

    /* Ours. */
    PAIR("passphrase"), PAIR("credential"), PAIR("signature"),
    PAIR("access_key"), PAIR("access-key"), PAIR("accesskey"),
    KEY("github_pat_", "\\w{20,}+"),
    KEY("glpat-", "[\\w-]{16,}+"),
    KEY("hf_", "[A-Za-z0-9]{16,}+"),
    KEY("gsk_", "[A-Za-z0-9]{16,}+"),
    KEY("xai-", "[A-Za-z0-9]{16,}+"),
    KEY("nvapi-", "[\\w-]{16,}+"),
    KEY("AIza", "[\\w-]{30,}+"),
    KEY("npm_", "[A-Za-z0-9]{30,}+"),
    KEY("r8_", "[A-Za-z0-9]{20,}+"),
    KEY("xapp-", "[\\w-]{16,}+"),
    KEY("sk_", "(?:live|test)_\\w{16,}+"),
    KEY("rk_", "(?:live|test)_\\w{16,}+"),
    KEY("ABSK", "[\\w+/=]{16,}+"),
    { "bearer", "(?i)\\bbearer\\s{1,4}+[\\w.~+/=-]{8,}+", "[REDACTED:auth-header]", false },
    { "://", "://[^\\s\"'\\\\/@:]*+:[^\\s\"'\\\\/@]++@", "://[REDACTED:url-login]@", false },
    { "-----begin", "-----BEGIN [A-Z ]{0,40}?PRIVATE KEY(?:[^\"\\\\]|\\\\.)*+",
      "[REDACTED:private-key]", false },
};
/* clang-format on */

_Static_assert(ARRAY_LEN(rules) <= 64, "a set of rules is one word");

struct redactor {
    pcre2_code *codes[ARRAY_LEN(rules)];
    uint64_t starting[256]; /* by a byte: the rules whose hint begins with it */
    bool begins[256 * 256]; /* by two bytes: is there any that begins with them? */
    pcre2_match_data *found;
    pcre2_match_context *limits;
    struct buf lines[2]; /* what a rule reads, what it writes; they change places */
};

static size_t pair(int first, int second)
{
    return (size_t)(unsigned char)first << 8 | (unsigned char)second;
}

static void learn_hint(struct redactor *r, size_t i)
{
    const char *hint = rules[i].hint;
    int first[] = { tolower(hint[0]), toupper(hint[0]) };
    int second[] = { tolower(hint[1]), toupper(hint[1]) };
    for (size_t a = 0; a < 2; a++) {
        r->starting[first[a]] |= UINT64_C(1) << i;
        for (size_t b = 0; b < 2; b++)
            r->begins[pair(first[a], second[b])] = true;
    }
}

static enum err compile(struct redactor *r, size_t i, struct error *error)
{
    int code;
    PCRE2_SIZE at;
    r->codes[i] = pcre2_compile((PCRE2_SPTR)rules[i].pattern, PCRE2_ZERO_TERMINATED,
                                PCRE2_NO_AUTO_CAPTURE, &code, &at, NULL);
    if (!r->codes[i])
        return fail(error, ERR_INTERNAL, "redaction pattern %zu: error %d at byte %zu", i, code,
                    at);
    return OK;
}

enum err redactor_new(struct redactor **ret, struct error *error)
{
    enum err e = OK;
    struct redactor *r = calloc(1, sizeof *r);
    if (!r)
        return fail_nomem(error);
    for (size_t i = 0; i < ARRAY_LEN(r->lines); i++)
        buf_init(&r->lines[i], REDACTED_BYTES_MAX);
    r->found = pcre2_match_data_create(1, NULL);
    r->limits = pcre2_match_context_create(NULL);
    if (!r->found || !r->limits)
        e = fail_nomem(error);
    for (size_t i = 0; !e && i < ARRAY_LEN(rules); i++)
        e = compile(r, i, error);
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        learn_hint(r, i);
    if (e) {
        redactor_free(r);
        return e;
    }
    pcre2_set_match_limit(r->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(r->limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(r->limits, HEAP_LIMIT_KIB);
    *ret = r;
    return OK;
}

void redactor_free(struct redactor *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        pcre2_code_free(r->codes[i]);
    pcre2_match_data_free(r->found);
    pcre2_match_context_free(r->limits);
    for (size_t i = 0; i < ARRAY_LEN(r->lines); i++)
        buf_done(&r->lines[i]);
    free(r);
}

/* Where rule `i` matches `line` at or after byte `from`; false: nowhere. */
static enum err find(struct redactor *r, size_t i, const struct buf *line, size_t from,
                     bool *ret_found, size_t *ret_start, size_t *ret_end)
{
    int n = pcre2_match(r->codes[i], (PCRE2_SPTR)line->at, line->len, from, 0, r->found, r->limits);
    *ret_found = n >= 0;
    if (n < 0)
        return n == PCRE2_ERROR_NOMATCH ? OK : ERR_INTERNAL;
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(r->found);
    *ret_start = ends[0];
    *ret_end = ends[1];
    return OK;
}

/* Apply rule `i` to `line`; where it matches, the result is put into `spare` and the two
 * change places. */
static enum err apply(struct redactor *r, size_t i, struct buf *line, struct buf *spare)
{
    size_t from = 0, start, end;
    bool found;
    enum err e;
    buf_clear(spare);
    while (!(e = find(r, i, line, from, &found, &start, &end)) && found) {
        e = buf_append(spare, line->at + from, start - from);
        if (!e)
            e = buf_append_str(spare, rules[i].instead);
        if (e)
            return e;
        from = end;
    }
    if (e || from == 0)
        return e;
    e = buf_append(spare, line->at + from, line->len - from);
    struct buf swap = *line;
    *line = *spare;
    *spare = swap;
    return e;
}

/* Does the hint of rule `i` stand at the beginning of the text? */
static bool has_hint(size_t i, const char *text, size_t len)
{
    size_t n = strlen(rules[i].hint);
    if (n > len || strncasecmp(text, rules[i].hint, n) != 0)
        return false;
    bool goes_on = n < len && (isalnum((unsigned char)text[n]) || text[n] == '_');
    return !(rules[i].whole && goes_on);
}

/* The rules whose hint stands somewhere in the line.  Looking for all of them at once
 * costs a small part of applying them. */
static uint64_t find_hints(const struct redactor *r, const char *line, size_t len)
{
    uint64_t found = 0;
    for (size_t at = 0; at + 1 < len; at++) {
        if (!r->begins[pair(line[at], line[at + 1])])
            continue;
        uint64_t open = r->starting[(unsigned char)line[at]] & ~found;
        for (; open; open &= open - 1)
            if (has_hint((size_t)__builtin_ctzll(open), line + at, len - at))
                found |= open & -open;
    }
    return found;
}

enum err redact(struct redactor *r, const char *line, size_t len, struct buf *out)
{
    buf_clear(&r->lines[0]);
    enum err e = buf_append(&r->lines[0], line, len);
    for (uint64_t open = find_hints(r, line, len); !e && open; open &= open - 1)
        e = apply(r, (size_t)__builtin_ctzll(open), &r->lines[0], &r->lines[1]);
    return e ? e : buf_append(out, r->lines[0].at, r->lines[0].len);
}
