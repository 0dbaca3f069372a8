/*
 * gc - remove from the store what nobody needs.
 *
 *     inferdctl gc [--dry-run | --yes]
 *
 * Without --yes nothing is removed.
 */
#include <time.h>

#include "command.h"
#include "storage.h"
#include "store/inventory.h"
#include "words.h"

enum { FLAG_DRY_RUN = STORAGE_FLAGS, FLAG_YES };

static const struct flag flags[] = {
    STORAGE_FLAG_ROWS,
    [FLAG_DRY_RUN] = { "--dry-run", 0, NULL, "tell what would be removed; the default" },
    [FLAG_YES] = { "--yes", 0, NULL, "remove it" },
};

static uint64_t print(struct storage *s, const struct inventory *garbage, bool removed)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < garbage->n; i++) {
        const struct item *item = &garbage->at[i];
        bytes += item->bytes;
        if (s->json)
            output_json(&s->out,
                        json_pack("{ss so sI sI sb}", "kind", item_kind_name(item->kind), "path",
                                  json_text(item->path), "bytes", (json_int_t)item->bytes,
                                  "touched", (json_int_t)item->touched, "removed", removed));
        else
            output_printf(&s->out, "%-10s  %10s  %s\n", item_kind_name(item->kind),
                          words_bytes(item->bytes).text, item->path);
    }
    return bytes;
}

static int gc(struct storage *s, bool yes)
{
    struct inventory garbage;
    struct error error;
    enum err e = yes ? gc_run(&s->store, time(NULL), &garbage, &error)
                     : gc_plan(&s->store, time(NULL), &garbage, &error);
    if (e)
        return complain_with(TROUBLE, "%s", error.message);
    struct words freed = words_bytes(print(s, &garbage, yes));
    if (s->json)
        ;
    else if (garbage.n == 0)
        complain("there is nothing to remove");
    else if (yes)
        complain("%s are free", freed.text);
    else
        complain("inferdctl gc --yes would remove this: %s", freed.text);
    inventory_done(&garbage);
    return output_verdict(&s->out, DONE);
}

static int run(struct args *args)
{
    struct storage s = { 0 };
    bool yes = false;
    for (;;) {
        switch (storage_next(&s, args)) {
        case ARG_FLAG:
            yes = args->flag == FLAG_YES;
            break;
        case ARG_STOP:
            return args->exit_code;
        case ARG_WORD: /* it has none */
        case ARG_END:
            if (!storage_open(&s, args))
                return args->exit_code;
            int code = gc(&s, yes);
            storage_done(&s);
            return code;
        }
    }
}

const struct command command_gc = {
    .name = "gc",
    .words = "",
    .summary = "remove from the store what nobody needs",
    .help = "Lists blobs and half downloads that no manifest refers to, bytes that were wrong\n"
            "(quarantine), and what interrupted imports left; with --yes removes them.  What a\n"
            "process works on stays, and so does what was touched within the last hour.\n",
    .flags = flags,
    .n_flags = ARRAY_LEN(flags),
    .run = run,
};
