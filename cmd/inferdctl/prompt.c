/*
 * prompt.c - see prompt.h.
 *
 * libinferd takes terminated strings, so a NUL in what is read would cut the prompt
 * short without a word; it is refused instead.
 */
#include "prompt.h"

#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "output.h"

enum { READ_BYTES = 64 * 1024 };

/* Says what went wrong with adding to a prompt; true if nothing did. */
static bool added(enum err e)
{
    if (e == ERR_FRAME_TOO_LARGE)
        complain("the prompt has more than %d bytes, the most that the daemon takes",
                 PROMPT_BYTES_MAX);
    else if (e)
        complain("out of memory");
    return e == OK;
}

bool prompt_add_word(struct buf *prompt, const char *word)
{
    enum err e = prompt->len > 0 ? buf_append_str(prompt, " ") : OK;
    if (!e)
        e = buf_append_str(prompt, word);
    return added(e);
}

static bool holds_nul(const char *what, const char *bytes, size_t len)
{
    const char *nul = len > 0 ? memchr(bytes, '\0', len) : NULL;
    if (nul)
        complain("%s is not text: byte %zu is NUL", what, (size_t)(nul - bytes));
    return nul != NULL;
}

static bool read_standard_input(struct buf *prompt)
{
    for (;;) {
        if (!added(buf_reserve(prompt, READ_BYTES)))
            return false;
        ssize_t n = read(STDIN_FILENO, prompt->at + prompt->len, READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            complain("cannot read standard input: %s", strerror(errno));
            return false;
        }
        if (n == 0)
            break;
        prompt->len += (size_t)n;
    }
    if (prompt->len > 0 && prompt->at[prompt->len - 1] == '\n')
        prompt->len--;
    return !holds_nul("standard input", prompt->at, prompt->len);
}

bool prompt_finish(struct buf *prompt, unsigned n_words)
{
    bool dash = prompt->len == 1 && prompt->at[0] == '-';
    if (dash || (n_words == 0 && !isatty(STDIN_FILENO))) {
        buf_clear(prompt);
        if (!read_standard_input(prompt))
            return false;
    }
    if (prompt->len == 0) {
        complain("there is no prompt: give it as an argument or on standard input");
        return false;
    }
    return added(buf_append(prompt, "", 1));
}

char *prompt_file(const char *path)
{
    struct error error;
    CLEANUP(free_ptr) char *text = NULL;
    size_t len;
    if (file_read(path, PROMPT_BYTES_MAX, &text, &len, &error)) {
        complain("%s", error.message);
        return NULL;
    }
    return holds_nul(path, text, len) ? NULL : TAKE(text);
}
