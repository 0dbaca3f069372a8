/*
 * df - tell what takes room in the store.
 *
 *     inferdctl df [--json]
 */
#include <time.h>

#include "command.h"
#include "storage.h"
#include "store/inventory.h"
#include "words.h"

static const struct flag flags[] = { STORAGE_FLAG_ROWS };

#define KINDS (ITEM_DRAFT + 1)

struct usage {
    struct {
        size_t n;
        uint64_t bytes;
    } of[KINDS], garbage;
    uint64_t free, total; /* of the file system */
};

static enum err measure(const struct store *s, struct usage *ret, struct error *error)
{
    struct inventory all, garbage;
    enum err e = store_room(s, &ret->free, &ret->total, error);
    if (!e)
        e = inventory_take(s, &all, error);
    if (e)
        return e;
    for (enum item_kind kind = 0; kind < KINDS; kind++)
        ret->of[kind].bytes = inventory_bytes(&all, kind, &ret->of[kind].n);
    inventory_done(&all);

    e = gc_plan(s, time(NULL), &garbage, error);
    if (e)
        return e;
    ret->garbage.n = garbage.n;
    for (size_t i = 0; i < garbage.n; i++)
        ret->garbage.bytes += garbage.at[i].bytes;
    inventory_done(&garbage);
    return OK;
}

static void print_row(struct output *out, const char *what, size_t n, uint64_t bytes)
{
    output_printf(out, "%-12s %6zu  %10s\n", what, n, words_bytes(bytes).text);
}

static void print(struct storage *s, const struct usage *u)
{
    struct output *out = &s->out;
    output_printf(out, "%-12s %s\n", "store", s->store.root);
    for (enum item_kind kind = 0; kind < KINDS; kind++)
        if (u->of[kind].n > 0 || kind == ITEM_BLOB)
            print_row(out, item_kind_name(kind), u->of[kind].n, u->of[kind].bytes);
    print_row(out, "for gc", u->garbage.n, u->garbage.bytes);
    output_printf(out, "%-12s %s of %s\n", "free", words_bytes(u->free).text,
                  words_bytes(u->total).text);
}

static json_t *count_json(size_t n, uint64_t bytes)
{
    return json_pack("{sI sI}", "count", (json_int_t)n, "bytes", (json_int_t)bytes);
}

static json_t *usage_json(const struct storage *s, const struct usage *u)
{
    CLEANUP(json_drop) json_t *kinds = json_object();
    for (enum item_kind kind = 0; kind < KINDS; kind++)
        if (json_object_set_new(kinds, item_kind_name(kind),
                                count_json(u->of[kind].n, u->of[kind].bytes)))
            return NULL;
    return json_pack("{so sO so sI sI}", "store", json_text(s->store.root), "kinds", kinds,
                     "garbage", count_json(u->garbage.n, u->garbage.bytes), "free_bytes",
                     (json_int_t)u->free, "total_bytes", (json_int_t)u->total);
}

static int df(struct storage *s)
{
    struct usage usage = { .free = 0 };
    struct error error;
    if (measure(&s->store, &usage, &error))
        return complain_with(TROUBLE, "%s", error.message);
    if (s->json)
        output_json(&s->out, usage_json(s, &usage));
    else
        print(s, &usage);
    return output_verdict(&s->out, DONE);
}

static int run(struct args *args)
{
    struct storage s = { 0 };
    if (!storage_read(&s, args) || !storage_open(&s, args))
        return args->exit_code;
    int code = df(&s);
    storage_done(&s);
    return code;
}

const struct command command_df = {
    .name = "df",
    .words = "",
    .summary = "tell what takes room in the store",
    .help = "Tells how many pieces of each kind are in the store and how large they are, what\n"
            "gc would remove, and how much room the file system has.\n",
    .flags = flags,
    .n_flags = ARRAY_LEN(flags),
    .run = run,
};
