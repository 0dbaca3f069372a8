/*
 * quiet.c - the log callback, and a `stderr` of our own.
 *
 * In the GNU C library `stderr` is a variable.  It is made to stand for a stream that
 * hands everything to whisper(), so that libraries which print instead of logging
 * are heard on the right thread, too.  Our own log writes to the descriptor and is
 * not concerned.
 */
#include "quiet.h"

#include <llama.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

static _Thread_local struct hearsay *listener;
static _Thread_local enum ggml_log_level level_before = GGML_LOG_LEVEL_NONE;

static void whisper(const char *text, size_t n)
{
    struct hearsay *h = listener;
    if (!h) {
        ssize_t written = write(STDERR_FILENO, text, n);
        (void)written;
        return;
    }
    size_t room = sizeof h->text - 1 - h->len;
    if (n > room)
        n = room;
    memcpy(h->text + h->len, text, n);
    h->len += n;
    h->text[h->len] = '\0';
}

static void on_log(enum ggml_log_level level, const char *text, void *context UNUSED)
{
    if (level == GGML_LOG_LEVEL_CONT)
        level = level_before;
    level_before = level;
    if (level == GGML_LOG_LEVEL_WARN || level == GGML_LOG_LEVEL_ERROR)
        whisper(text, strlen(text));
}

static ssize_t on_print(void *cookie UNUSED, const char *text, size_t n)
{
    whisper(text, n);
    return (ssize_t)n;
}

void quiet_init(void)
{
    llama_log_set(on_log, NULL);
    FILE *f = fopencookie(NULL, "w", (cookie_io_functions_t){ .write = on_print });
    if (!f)
        return; /* no memory: then stderr stays what it was */
    setvbuf(f, NULL, _IONBF, 0);
    stderr = f;
}

void quiet_listen(struct hearsay *said)
{
    if (said) {
        said->len = 0;
        said->text[0] = '\0';
    }
    listener = said;
}
