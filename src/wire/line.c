/*
 * line.c - the shape of the input buffer, and one look at every byte.
 *
 *          line_at          taken           scanned      in.len
 *             |               |                |           |
 *     xxxxxxxx{"id":"a",...}\n{"id":"b","messages":[...
 *             ^ handed out last                ^ look at bytes from here
 *
 * Always: line_at + line_len < taken <= scanned <= in.len.  Lines are handed out in
 * place.  What was handed out slides away in room(), or in next() once there is no
 * further line, so a line starts at the front of the buffer unless all of it came
 * in one read behind others.  That is why take() can hand the buffer itself over.
 *
 * Bytes are looked at piece by piece: up to the newline, or all that is there.  A
 * piece goes through several checks, each a tight loop of its own, because one loop
 * that does everything at once is many times slower.  Each check looks only at the
 * bytes before the fault that the ones before it found.  So the first fault in the
 * line wins, wherever the pieces were cut.
 *
 * The states of a line end with it, and are made new when the next byte is looked
 * at.
 */
#include "wire/line.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

/* What a byte outside of a string does. */
enum byte_class { ATOM, SPACE, OPEN, CLOSE, QUOTE, COLON, COMMA };

static const uint8_t classes[256] = {
    [' '] = SPACE, ['\t'] = SPACE, ['\r'] = SPACE, ['{'] = OPEN,  ['['] = OPEN,
    ['}'] = CLOSE, [']'] = CLOSE,  ['"'] = QUOTE,  [':'] = COLON, [','] = COMMA,
};

static const char bom[] = "\xEF\xBB\xBF";
enum { BOM_LEN = sizeof bom - 1 };

/* A piece of a line under examination.  `len` shrinks to the bytes before the first
 * fault found so far; `code` is OK while there is none. */
struct piece {
    const char *at;
    size_t len;
    size_t offset; /* of `at` in the line */
    enum err code;
    const char *why;
    size_t limit; /* a number behind `why`; 0 is none */
};

static void fault(struct piece *p, size_t at, enum err code, const char *why, size_t limit)
{
    p->len = at;
    p->code = code;
    p->why = why;
    p->limit = limit;
}

static void check_length(struct piece *p, size_t max_line)
{
    if (p->len > max_line - p->offset)
        fault(p, max_line - p->offset, ERR_FRAME_TOO_LARGE, "", 0);
}

static void check_bom(struct piece *p)
{
    if (p->offset >= BOM_LEN || p->offset + p->len < BOM_LEN)
        return;
    if (memcmp(p->at - p->offset, bom, BOM_LEN) == 0) /* the line's start is still there */
        fault(p, BOM_LEN - 1 - p->offset, ERR_PROTOCOL, "a byte-order mark", 0);
}

static void check_nul(struct piece *p)
{
    const char *nul = memchr(p->at, '\0', p->len);
    if (nul)
        fault(p, (size_t)(nul - p->at), ERR_PROTOCOL, "a NUL", 0);
}

/* How many bytes of a string stand before the first quote or backslash. */
static size_t plain_run(const char *at, size_t n)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t highs = UINT64_C(0x8080808080808080);
    size_t i = 0;
    for (; i + sizeof(uint64_t) <= n; i += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, at + i, sizeof word);
        uint64_t quote = word ^ ones * '"';
        uint64_t slash = word ^ ones * '\\';
        /* The classic test for a zero byte, for both at once. */
        if ((((quote - ones) & ~quote) | ((slash - ones) & ~slash)) & highs)
            break;
    }
    while (i < n && at[i] != '"' && at[i] != '\\')
        i++;
    return i;
}

/* The string goes on with `at`; how many of the `n` bytes belong to it. */
static size_t scan_string(struct line_scan *s, const char *at, size_t n)
{
    size_t i = 0;
    while (i < n) {
        if (s->escaped) {
            s->escaped = false;
            i++;
            continue;
        }
        i += plain_run(at + i, n - i);
        if (i == n)
            break;
        if (at[i++] == '"') {
            s->in_string = false;
            s->after_string = true;
            break;
        }
        s->escaped = true;
    }
    return i;
}

static void scan_byte(struct line_scan *s, char byte)
{
    enum byte_class class = (enum byte_class)classes[(uint8_t)byte];
    if (class == SPACE) {
        s->in_atom = false;
        return;
    }
    s->blank = false;
    switch (class) {
    case ATOM:
        s->values += !s->in_atom;
        break;
    case OPEN:
        s->depth++;
        s->values++;
        break;
    case CLOSE:
        s->depth -= s->depth > 0; /* one too many is the parser's to refuse */
        break;
    case QUOTE:
        s->in_string = true;
        s->values++;
        break;
    case COLON:
        s->values -= s->after_string; /* it was a key */
        break;
    case COMMA:
    case SPACE:
        break;
    }
    s->in_atom = class == ATOM;
    s->after_string = false;
}

static void check_structure(struct piece *p, struct line_scan *scan, unsigned max_depth)
{
    struct line_scan s = *scan; /* a copy that the compiler may keep in registers */
    size_t i = 0;
    while (i < p->len) {
        if (s.in_string) {
            i += scan_string(&s, p->at + i, p->len - i);
            continue;
        }
        scan_byte(&s, p->at[i]);
        if (s.depth > max_depth)
            fault(p, i, ERR_PROTOCOL, "nesting deeper than", max_depth);
        else if (s.values > LINE_VALUES_MAX)
            fault(p, i, ERR_PROTOCOL, "more values than", LINE_VALUES_MAX);
        i++;
    }
    *scan = s;
}

static void check_utf8(struct piece *p, struct utf8 *u)
{
    struct utf8 before = *u;
    if (utf8_feed(u, p->at, p->len))
        return;
    /* Where exactly?  Asked once, for the conversation ends here. */
    size_t i = 0;
    while (utf8_feed(&before, p->at + i, 1))
        i++;
    fault(p, i, ERR_PROTOCOL, "invalid UTF-8", 0);
}

static enum err refuse(struct line_reader *r, const struct piece *p)
{
    size_t byte = p->offset + p->len + 1;
    if (p->code == ERR_FRAME_TOO_LARGE)
        fail(&r->broken, p->code, "frame exceeds %zu byte cap", r->max_line);
    else if (p->limit)
        fail(&r->broken, p->code, "decode: %s %zu at byte %zu of the line", p->why, p->limit, byte);
    else
        fail(&r->broken, p->code, "decode: %s at byte %zu of the line", p->why, byte);
    buf_done(&r->in);
    r->taken = r->scanned = 0;
    return p->code;
}

/* Look at the next `len` bytes; `whole` if they end the line. */
static enum err look(struct line_reader *r, size_t len, bool whole)
{
    if (r->scanned == r->taken)
        r->scan = (struct line_scan){ .blank = true };

    struct piece p = { r->in.at + r->scanned, len, r->scanned - r->taken, OK, NULL, 0 };
    check_length(&p, r->max_line);
    check_bom(&p);
    check_nul(&p);
    check_structure(&p, &r->scan, r->max_depth);
    check_utf8(&p, &r->scan.utf8);
    if (!p.code && whole && !utf8_complete(&r->scan.utf8))
        fault(&p, len, ERR_PROTOCOL, "invalid UTF-8", 0);
    if (p.code)
        return refuse(r, &p);
    r->scanned += len;
    return OK;
}

/* Let go of what was handed out, and of memory that the rest has no use for. */
static void slide(struct line_reader *r)
{
    if (r->taken > 0)
        buf_consume(&r->in, r->taken);
    r->scanned -= r->taken;
    r->taken = 0;
    r->has_line = false;
    if (r->in.len == 0) {
        buf_done(&r->in);
    } else if (r->in.cap > 2 * LINE_READ_MAX && r->in.len <= LINE_READ_MAX) {
        char *at = realloc(r->in.at, LINE_READ_MAX);
        if (at) {
            r->in.at = at;
            r->in.cap = LINE_READ_MAX;
        }
    }
}

void line_reader_init(struct line_reader *r, size_t max_line, unsigned max_depth)
{
    *r = (struct line_reader){ .max_line = max_line, .max_depth = max_depth };
    buf_init(&r->in, max_line + LINE_READ_MAX);
}

void line_reader_done(struct line_reader *r)
{
    buf_done(&r->in);
    line_reader_init(r, r->max_line, r->max_depth);
}

void line_reader_set_max(struct line_reader *r, size_t max_line)
{
    r->max_line = max_line;
    r->in.max = max_line + LINE_READ_MAX;
}

enum err line_reader_room(struct line_reader *r, char **ret_at, size_t *ret_room)
{
    if (r->broken.code)
        return r->broken.code;
    slide(r);
    size_t room = r->in.max - r->in.len;
    if (room == 0)
        return ERR_AGAIN;
    size_t most = r->in.len > 0 ? LINE_READ_MAX : LINE_FIRST_READ;
    if (room > most)
        room = most;
    enum err e = buf_reserve(&r->in, room);
    if (e)
        return e;
    *ret_at = r->in.at + r->in.len;
    *ret_room = room;
    return OK;
}

void line_reader_filled(struct line_reader *r, size_t n)
{
    assert(n <= r->in.cap - r->in.len);
    r->in.len += n;
    if (r->in.len == 0)
        buf_done(&r->in);
}

void line_reader_end(struct line_reader *r)
{
    r->ended = true;
}

/* The bytes from `taken` to `scanned` are a line; `newline` of them is its end. */
static void hand_out(struct line_reader *r, size_t newline, struct slice *ret_line)
{
    size_t len = r->scanned - r->taken - newline;
    if (len > 0 && r->in.at[r->taken + len - 1] == '\r')
        len--;
    r->line_at = r->taken;
    r->line_len = len;
    r->has_line = true;
    r->taken = r->scanned;
    *ret_line = (struct slice){ r->in.at + r->line_at, len };
}

/* Look at what is new, up to the end of a line: OK if there is one that is not blank. */
static enum err find_line(struct line_reader *r, struct slice *ret_line)
{
    while (r->scanned < r->in.len) {
        const char *at = r->in.at + r->scanned;
        size_t n = r->in.len - r->scanned;
        const char *newline = memchr(at, '\n', n);
        enum err e = look(r, newline ? (size_t)(newline - at) : n, newline != NULL);
        if (e)
            return e;
        if (!newline)
            break;
        r->scanned++;
        if (!r->scan.blank) {
            hand_out(r, 1, ret_line);
            return OK;
        }
        r->taken = r->scanned;
    }
    return ERR_AGAIN;
}

/* What stands without a newline, now that none will come. */
static enum err find_last_line(struct line_reader *r, struct slice *ret_line)
{
    if (r->taken == r->in.len)
        return ERR_CLOSED;
    enum err e = look(r, 0, true);
    if (e)
        return e;
    if (r->scan.blank) {
        r->taken = r->scanned;
        return ERR_CLOSED;
    }
    hand_out(r, 0, ret_line);
    return OK;
}

enum err line_reader_next(struct line_reader *r, struct slice *ret_line, struct error *error)
{
    r->has_line = false;
    enum err e = r->broken.code;
    if (!e)
        e = find_line(r, ret_line);
    if (e == ERR_AGAIN && r->ended)
        e = find_last_line(r, ret_line);
    if (r->broken.code && error)
        *error = r->broken;
    if (e == ERR_AGAIN || e == ERR_CLOSED)
        slide(r);
    return e;
}

enum err line_reader_take(struct line_reader *r, char **ret_bytes, size_t *ret_len)
{
    assert(r->has_line);
    struct buf rest;
    buf_init(&rest, r->in.max);
    enum err e = buf_append(&rest, r->in.at + r->taken, r->in.len - r->taken);
    if (e)
        return e;

    size_t all;
    char *bytes = buf_steal(&r->in, &all);
    memmove(bytes, bytes + r->line_at, r->line_len);
    char *fitting = realloc(bytes, r->line_len);
    *ret_bytes = fitting ? fitting : bytes;
    *ret_len = r->line_len;

    r->in = rest;
    r->taken = r->scanned = 0;
    r->has_line = false;
    return OK;
}

size_t line_reader_pending(const struct line_reader *r)
{
    return r->in.len - r->taken;
}
