/*
 * orders - tell the daemon what to do.
 *
 *     inferdctl reload
 *     inferdctl load BACKEND
 *     inferdctl unload BACKEND
 *     inferdctl cancel SERIAL
 *     inferdctl drain
 *
 * Each is one line to the admin socket and its reply.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "command.h"
#include "inferd/client.h"
#include "output.h"

/* What came of it, a sentence per line. */
static int print_notes(const char *reply)
{
    struct output out;
    output_init(&out, STDOUT_FILENO);
    CLEANUP(json_drop) json_t *tree = NULL;
    if (json_read(reply, strlen(reply), &tree, NULL))
        return complain_with(TROUBLE, "the daemon's reply makes no sense");
    size_t i;
    json_t *note;
    json_array_foreach(json_object_get(tree, "notes"), i, note)
    {
        if (json_is_string(note))
            output_line(&out, json_string_value(note), json_string_length(note));
    }
    return output_verdict(&out, DONE);
}

/* Takes `order`. */
static int give(json_t *order)
{
    struct inferd_error error;
    CLEANUP(json_drop) json_t *taken = order;
    CLEANUP(free_ptr) char *line = taken ? json_dumps(taken, JSON_COMPACT) : NULL;
    CLEANUP(free_ptr) char *reply = NULL;
    if (!line)
        return complain_with(TROUBLE, "out of memory");
    enum inferd_status status = inferd_order(getenv("INFERD_ADMIN_ADDR"), line, &reply, &error);
    if (status)
        return complain_with(status == INFERD_REFUSED ? REFUSED : TROUBLE, "%s", error.message);
    return print_notes(reply);
}

static int run_plain(struct args *args)
{
    if (!args_nothing_more(args))
        return args->exit_code;
    return give(json_pack("{ss}", "op", args->command->name));
}

/* The command's only word; NULL with args->exit_code set if there is another number. */
static const char *only_word(struct args *args, const char *missing)
{
    const char *word = NULL;
    for (;;) {
        switch (args_next(args)) {
        case ARG_FLAG: /* it has none */
            break;
        case ARG_WORD:
            if (word) {
                args->exit_code = args_one_too_many(args);
                return NULL;
            }
            word = args->value;
            break;
        case ARG_END:
            if (!word)
                args->exit_code = complain_with(TROUBLE, "%s", missing);
            return word;
        case ARG_STOP:
            return NULL;
        }
    }
}

static int run_backend(struct args *args)
{
    const char *name = only_word(args, "which backend? (inferdctl status knows their names)");
    if (!name)
        return args->exit_code;
    json_t *label = json_string(name);
    if (!label)
        return complain_with(TROUBLE, "the name of a backend is UTF-8");
    return give(json_pack("{ss so}", "op", args->command->name, "backend", label));
}

static int run_cancel(struct args *args)
{
    const char *word = only_word(args, "which request? (inferdctl stats knows their serials)");
    if (!word)
        return args->exit_code;
    char *end;
    long long serial = strtoll(word, &end, 10);
    if (word[0] < '0' || word[0] > '9' || *end || serial < 1)
        return complain_with(TROUBLE, "'%.80s' is no serial; those are numbers from 1 on", word);
    return give(json_pack("{ss sI}", "op", "cancel", "serial", (json_int_t)serial));
}

const struct command command_reload = {
    .name = "reload",
    .words = "",
    .summary = "make the daemon read its configuration again",
    .help =
        "Makes the daemon read its configuration again, as SIGHUP does.  Backends that are\n"
        "as they were go on; changed ones finish what they work on and are replaced.  Tells\n"
        "what changed.  A configuration that is wrong changes nothing; then this ends with 1.\n",
    .run = run_plain,
};

const struct command command_load = {
    .name = "load",
    .words = "BACKEND",
    .summary = "start the engine of a backend",
    .help = "Starts the engine of a backend that was unloaded, or has failed.\n",
    .run = run_backend,
};

const struct command command_unload = {
    .name = "unload",
    .words = "BACKEND",
    .summary = "end the engine of a backend, and give its memory back",
    .help = "Lets the engine of a backend finish what it works on, and ends it.  It is started\n"
            "again by `inferdctl load`, or by the next request that needs it.\n",
    .run = run_backend,
};

const struct command command_cancel = {
    .name = "cancel",
    .words = "SERIAL",
    .summary = "end a request of somebody",
    .help = "Ends a request, whoever made it.  `inferdctl stats` lists them with their serials.\n",
    .run = run_cancel,
};

const struct command command_drain = {
    .name = "drain",
    .words = "",
    .summary = "end the daemon once what it works on is done",
    .help = "Makes the daemon take nothing more, finish what it works on and end, as SIGTERM\n"
            "does.\n",
    .run = run_plain,
};
