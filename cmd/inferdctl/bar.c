/*
 * bar.c - see bar.h.
 *
 * The line is never as wide as the terminal, so it never wraps, and returning to its start
 * and clearing it is all there is to undo.
 */
#include "bar.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "base/file.h"
#include "interrupt.h"
#include "words.h"

enum {
    COLUMNS_USUAL = 80,
    LINE_MAX_COLUMNS = 400,
    BAR_LEAST = 8,
    BAR_MOST = 40,
    NUMBERS_USUAL = 46, /* so that the gauge keeps its width when they change theirs */
    REDRAW_MS = 100,
};

static const char clear_line[] = "\r\x1b[K";

void bar_init(struct bar *b, const char *label, bool wanted)
{
    const char *term = getenv("TERM");
    bool dumb = term && strcmp(term, "dumb") == 0;
    *b = (struct bar){ .label = label, .live = wanted && !dumb && isatty(STDERR_FILENO) };
}

static size_t columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return COLUMNS_USUAL;
    return size.ws_col < LINE_MAX_COLUMNS ? size.ws_col : LINE_MAX_COLUMNS;
}

/* "2.1 of 4.8 GiB", or each with its own unit where they differ. */
static void put_amount(char *out, size_t size, const struct bar_state *s)
{
    struct words done = words_bytes(s->done), total = words_bytes(s->total);
    if (!s->total) {
        snprintf(out, size, "%s", done.text);
        return;
    }
    char *unit = strchr(done.text, ' '), *other = strchr(total.text, ' ');
    if (unit && other && strcmp(unit, other) == 0)
        *unit = '\0';
    snprintf(out, size, "%s of %s", done.text, total.text);
}

static void put_numbers(char *out, size_t size, const struct bar_state *s)
{
    char amount[64], percent[8] = "", rate[40] = "", eta[40] = "";
    put_amount(amount, sizeof amount, s);
    if (s->total)
        snprintf(percent, sizeof percent, "%3u%%  ",
                 (unsigned)(s->done < s->total ? (double)s->done * 100 / (double)s->total : 100));
    if (s->rate >= 1)
        snprintf(rate, sizeof rate, "  %s/s", words_bytes((uint64_t)s->rate).text);
    if (s->eta_s > 0)
        snprintf(eta, sizeof eta, "  ETA %s", words_seconds((uint64_t)s->eta_s).text);
    snprintf(out, size, "%s%s%s%s", percent, amount, rate, eta);
}

/* "[====>    ]  " of at most `width` columns; "" if that is too little. */
static void put_gauge(char out[BAR_MOST + 1], size_t width, const struct bar_state *s)
{
    enum { FRAME = sizeof "[]  " - 1 };
    out[0] = '\0';
    if (!s->total || width < BAR_LEAST + FRAME)
        return;
    size_t inner = (width < BAR_MOST ? width : BAR_MOST) - FRAME;
    double part = s->done < s->total ? (double)s->done / (double)s->total : 1;
    size_t full = (size_t)(part * (double)inner);
    out[0] = '[';
    memset(out + 1, '=', full);
    memset(out + 1 + full, ' ', inner - full);
    if (full < inner)
        out[1 + full] = '>';
    memcpy(out + 1 + inner, "]  ", sizeof "]  ");
}

void bar_draw(struct bar *b, const struct bar_state *s)
{
    if (!b->live)
        return;
    char numbers[160], gauge[BAR_MOST + 1], line[LINE_MAX_COLUMNS + 160];
    if (s->doing)
        snprintf(numbers, sizeof numbers, "%s", s->doing);
    else
        put_numbers(numbers, sizeof numbers, s);
    size_t width = columns() - 1, numbers_len = strlen(numbers);
    size_t taken =
        strlen(b->label) + 2 + (numbers_len > NUMBERS_USUAL ? numbers_len : (size_t)NUMBERS_USUAL);
    put_gauge(gauge, !s->doing && taken < width ? width - taken : 0, s);

    int len = snprintf(line, sizeof line, "%s  %s%s", b->label, gauge, numbers);
    size_t shown = (size_t)len < width ? (size_t)len : width;
    char bytes[sizeof line + sizeof clear_line];
    int n = snprintf(bytes, sizeof bytes, "%s%.*s", clear_line, (int)shown, line);
    b->live = write_all(STDERR_FILENO, bytes, (size_t)n);
    b->shown = true;
    b->drawn_ms = clock_ms();
}

void bar_hide(struct bar *b)
{
    if (b->shown)
        b->live = write_all(STDERR_FILENO, clear_line, strlen(clear_line));
    b->shown = false;
}

enum err bar_tell(void *bar, uint64_t done, uint64_t total, struct error *error)
{
    struct bar *b = bar;
    if (interrupt_code())
        return fail(error, ERR_CLOSED, "interrupted");
    int64_t now = clock_ms();
    if (!b->started_ms || done < b->last)
        b->started_ms = now;
    b->last = done;
    if (b->shown && now - b->drawn_ms < REDRAW_MS)
        return OK;
    int64_t took = now - b->started_ms;
    struct bar_state s = { .done = done, .total = total, .eta_s = -1 };
    if (took >= REDRAW_MS)
        s.rate = (double)done * 1000 / (double)took;
    if (s.rate >= 1 && total > done)
        s.eta_s = (int64_t)((double)(total - done) / s.rate);
    bar_draw(b, &s);
    return OK;
}
