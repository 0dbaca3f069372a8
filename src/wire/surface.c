/*
 * surface.c - see surface.h.
 */
#include "wire/surface.h"

#include <string.h>

enum { ESCAPED_MAX = 6 }; /* bytes that one byte may become: \u001f */

void ask_init(struct ask *ask)
{
    *ask = (struct ask){ .stream = true };
    generate_init(&ask->generate);
}

void ask_done(struct ask *ask)
{
    free(ask->id);
    generate_done(&ask->generate);
    ask_init(ask);
}

enum err answer_init(struct answer *a, const struct ask *ask)
{
    const char *id = ask->id ? ask->id : "";
    *a = (struct answer){ .stream = ask->stream };
    buf_init(&a->id, ID_BYTES_MAX * ESCAPED_MAX + 2);
    buf_init(&a->text, (size_t)ANSWER_BYTES_MAX * ESCAPED_MAX);
    return json_put_string(&a->id, id, strlen(id));
}

void answer_done(struct answer *a)
{
    buf_done(&a->id);
    buf_done(&a->text);
}
