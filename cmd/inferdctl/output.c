/*
 * output.c - see output.h.
 */
#include "output.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/utf8.h"
#include "command.h"

#define REPLACEMENT "\xEF\xBF\xBD"

enum { SENTENCE_MAX = 8192 }; /* room for two paths */

void output_init(struct output *o, int fd)
{
    *o = (struct output){ .fd = fd, .terminal = isatty(fd) };
}

/* How many bytes at `text` are one control character; 0 if it starts none. */
static size_t control_len(const char *text, size_t len)
{
    uint8_t c = (uint8_t)text[0];
    if (c == '\n' || c == '\t')
        return 0;
    if (c < 0x20 || c == 0x7F)
        return 1;
    bool c1 = c == 0xC2 && len > 1 && (uint8_t)text[1] <= 0x9F; /* U+0080 to U+009F */
    return c1 ? 2 : 0;
}

enum err append_safely(struct buf *out, const char *text, size_t len)
{
    size_t from = 0, i = 0;
    while (i < len) {
        size_t n = control_len(text + i, len - i);
        if (n == 0) {
            i++;
            continue;
        }
        enum err e = buf_append(out, text + from, i - from);
        if (!e)
            e = buf_append_str(out, REPLACEMENT);
        if (e)
            return e;
        i += n;
        from = i;
    }
    return buf_append(out, text + from, len - from);
}

/* One write, so that whoever reads sees a line with its end. */
static bool emit(struct output *o, const char *text, size_t len, const char *end)
{
    if (o->broken)
        return false;
    struct buf bytes;
    buf_init(&bytes, SIZE_MAX / 2);
    enum err e = o->terminal ? append_safely(&bytes, text, len) : buf_append(&bytes, text, len);
    if (!e)
        e = buf_append_str(&bytes, end);
    if (e)
        o->broken = ENOMEM;
    else if (!write_all(o->fd, bytes.at, bytes.len))
        o->broken = errno;
    if (bytes.len > 0)
        o->mid_line = bytes.at[bytes.len - 1] != '\n';
    buf_done(&bytes);
    return !o->broken;
}

bool output_put(struct output *o, const char *text, size_t len)
{
    return emit(o, text, len, "");
}

bool output_line(struct output *o, const char *text, size_t len)
{
    return emit(o, text, len, "\n");
}

bool output_printf(struct output *o, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text;
    int len = vasprintf(&text, fmt, args);
    va_end(args);
    if (len < 0) {
        o->broken = ENOMEM;
        return false;
    }
    output_put(o, text, (size_t)len);
    free(text);
    return !o->broken;
}

bool output_end_line(struct output *o)
{
    return o->mid_line ? output_put(o, "\n", 1) : !o->broken;
}

int output_verdict(const struct output *o, int code)
{
    if (!o->broken)
        return code;
    if (o->broken == EPIPE)
        return OUTPUT_CLOSED;
    return complain_with(TROUBLE, "cannot write to standard output: %s", strerror(o->broken));
}

static void say(const char *who, const char *fmt, va_list args)
{
    char sentence[SENTENCE_MAX];
    size_t n = (size_t)snprintf(sentence, sizeof sentence, "%s: ", who);
    vsnprintf(sentence + n, sizeof sentence - n, fmt, args);

    struct output err;
    output_init(&err, STDERR_FILENO);
    output_line(&err, sentence, utf8_whole(sentence, strlen(sentence)));
}

void complain(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say("inferdctl", fmt, args);
    va_end(args);
}

int complain_with(int code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say("inferdctl", fmt, args);
    va_end(args);
    return code;
}

int error_with(int code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say("error", fmt, args);
    va_end(args);
    return code;
}
