/*
 * storage.c - see storage.h.
 */
#include "storage.h"

#include <string.h>

#include "command.h"
#include "store/name.h"

enum arg storage_next(struct storage *s, struct args *args)
{
    for (;;) {
        enum arg arg = args_next(args);
        if (arg == ARG_FLAG && args->flag == STORAGE_DIR) {
            s->dir = args->value;
        } else if (arg == ARG_FLAG && args->flag == STORAGE_JSON) {
            s->json = true;
        } else if (arg == ARG_WORD && args->command->words[0] && !s->word) {
            s->word = args->value;
        } else if (arg == ARG_WORD) {
            args->exit_code = args_one_too_many(args);
            return ARG_STOP;
        } else {
            return arg;
        }
    }
}

bool storage_read(struct storage *s, struct args *args)
{
    return storage_next(s, args) == ARG_END;
}

bool storage_has_name(const struct storage *s)
{
    struct error error;
    if (!s->word)
        complain("which model? (inferdctl list knows their names)");
    else if (model_name_check(s->word, strlen(s->word), &error))
        complain("%s", error.message);
    else
        return true;
    return false;
}

bool storage_open(struct storage *s, struct args *args)
{
    CLEANUP(free_ptr) char *root = NULL;
    struct error error;
    enum err e = store_find(s->dir, &root, &error);
    if (!e)
        e = store_open(&s->store, root, &error);
    if (e)
        args->exit_code = complain_with(TROUBLE, "%s", error.message);
    s->open = !e;
    output_init(&s->out, STDOUT_FILENO);
    return s->open;
}

void storage_done(struct storage *s)
{
    if (s->open)
        store_done(&s->store);
    s->open = false;
}
