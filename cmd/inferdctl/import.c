/*
 * import - take a file of this machine into the store.
 *
 *     inferdctl import FILE --name NAME [--expect-sha256 HEX] [--link | --copy]
 *
 * The blob's path goes to standard output.
 */
#include "store/import.h"

#include <string.h>

#include "bar.h"
#include "command.h"
#include "interrupt.h"
#include "storage.h"
#include "words.h"

enum { FLAG_NAME = STORAGE_FLAGS, FLAG_EXPECT, FLAG_LINK, FLAG_COPY };

static const struct flag flags[] = {
    STORAGE_FLAG_ROWS,
    [FLAG_NAME] = { "--name", 0, "NAME", "what the model is to be called" },
    [FLAG_EXPECT] = { "--expect-sha256", 0, "HEX", "import nothing but these bytes" },
    [FLAG_LINK] = { "--link", 0, NULL, "a hard link, where nobody else may write to it" },
    [FLAG_COPY] = { "--copy", 0, NULL, "bytes of the store's own; the default" },
};

static void set(struct import_order *o, const struct args *args)
{
    switch (args->flag) {
    case FLAG_NAME:
        o->name = args->value;
        break;
    case FLAG_EXPECT:
        o->expect_sha256 = args->value;
        break;
    default:
        o->link = args->flag == FLAG_LINK;
        break;
    }
}

static void tell(struct storage *s, const struct import_order *o, const struct import_result *r)
{
    char path[STORE_PATH_MAX];
    store_blob_path(&s->store, &r->digest, path);
    if (s->json) {
        output_json(&s->out,
                    json_pack("{ss ss sI ss so sb}", "name", o->name, "sha256", r->digest.hex,
                              "size_bytes", (json_int_t)r->size, "how", taken_name(r->how), "path",
                              json_text(path), "was_there", r->was_there));
        return;
    }
    output_line(&s->out, path, strlen(path));
    if (o->link && r->how == TAKEN_COPIED)
        complain("copied: a link would not have been safe, or not possible");
    complain("imported; set \"model\": { \"name\": \"%s\", \"sha256\": \"%s\" } for a backend in "
             "the daemon's configuration to use it",
             o->name, r->digest.hex);
}

static int import(struct storage *s, struct import_order *o)
{
    struct bar bar;
    struct import_result result;
    struct error error;
    bar_init(&bar, o->name, !s->json);
    const struct progress progress = { bar_tell, &bar };
    o->progress = &progress;
    if (!s->json)
        complain("importing %s as \"%s\" -> %s", o->file, o->name, s->store.root);
    interrupt_is_asked_for(true);
    enum err e = store_import(&s->store, o, &result, &error);
    bar_hide(&bar);
    o->progress = NULL; /* it ends with this function */
    if (e)
        return interrupt_code() ? interrupt_code()
                                : error_with(TROUBLE, "import failed: %s", error.message);
    tell(s, o, &result);
    return output_verdict(&s->out, DONE);
}

static int check_and_import(struct storage *s, struct import_order *o, struct args *args)
{
    if (!s->word || !o->name)
        return complain_with(TROUBLE, "%s (inferdctl import FILE --name NAME)",
                             s->word ? "what is it to be called?" : "which file?");
    if (!storage_open(s, args))
        return args->exit_code;
    o->file = s->word;
    interrupt_install();
    int code = import(s, o);
    storage_done(s);
    return code;
}

static int run(struct args *args)
{
    struct storage s = { 0 };
    struct import_order o = { .produced_by = "inferdctl/" INFERD_VERSION };
    for (;;) {
        switch (storage_next(&s, args)) {
        case ARG_FLAG:
            set(&o, args);
            break;
        case ARG_STOP:
            return args->exit_code;
        case ARG_WORD: /* taken care of */
        case ARG_END:
            return check_and_import(&s, &o, args);
        }
    }
}

const struct command command_import = {
    .name = "import",
    .words = "FILE",
    .summary = "take a file of this machine into the store",
    .help = "Takes a model file into the store and prints the path of the blob.  The file\n"
            "itself is not touched.  Where the file system can share blocks (reflink), nothing\n"
            "is copied in either case.\n",
    .flags = flags,
    .n_flags = ARRAY_LEN(flags),
    .run = run,
};
