/*
 * rm - remove a model from the store.
 *
 *     inferdctl rm NAME
 */
#include "command.h"
#include "storage.h"
#include "store/models.h"
#include "words.h"

static const struct flag flags[] = { STORAGE_FLAG_ROWS };

/* What became of the blob: one word for programs, a sentence for people. */
static const struct {
    const char *word;
    const char *sentence;
} fates[] = {
    [REMOVED_BLOB] = { "removed", "" },
    [REMOVED_NO_BLOB] = { "none", "; it had no blob" },
    [REMOVED_BLOB_SHARED] = { "shared", "; its blob stays: another model needs it" },
    [REMOVED_BLOB_LATER] = { "later", "; its blob stays until inferdctl gc: at the moment nobody "
                                      "can tell whether something else needs it" },
};

static int rm(struct storage *s)
{
    struct removed removed;
    struct error error;
    if (model_remove(&s->store, s->word, &removed, &error))
        return complain_with(TROUBLE, "%s", error.message);
    if (s->json)
        output_json(&s->out,
                    json_pack("{ss ss sI}", "name", s->word, "blob", fates[removed.blob].word,
                              "freed_bytes", (json_int_t)removed.bytes));
    else if (removed.blob == REMOVED_BLOB)
        complain("removed %s: %s are free", s->word, words_bytes(removed.bytes).text);
    else
        complain("removed %s%s", s->word, fates[removed.blob].sentence);
    return output_verdict(&s->out, DONE);
}

static int run(struct args *args)
{
    struct storage s = { 0 };
    if (!storage_read(&s, args))
        return args->exit_code;
    if (!storage_has_name(&s))
        return TROUBLE;
    if (!storage_open(&s, args))
        return args->exit_code;
    int code = rm(&s);
    storage_done(&s);
    return code;
}

const struct command command_rm = {
    .name = "rm",
    .words = "NAME",
    .summary = "remove a model from the store",
    .help = "Removes a model, and its blob unless another model has the same.  A daemon that\n"
            "runs on it keeps it until it ends.\n",
    .flags = flags,
    .n_flags = ARRAY_LEN(flags),
    .run = run,
};
