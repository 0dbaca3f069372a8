/*
 * status - tell in what state the daemon is.
 *
 *     inferdctl status [--json | --human]
 *
 * One line of JSON per frame of the admin socket: what each backend can do, then the
 * present state.  On a terminal, a table for people instead.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "command.h"
#include "inferd/client.h"
#include "output.h"

enum { FLAG_JSON, FLAG_HUMAN };

static const struct flag flags[] = {
    [FLAG_JSON] = { "--json", 0, NULL, "lines of JSON, also on a terminal" },
    [FLAG_HUMAN] = { "--human", 0, NULL, "a table, also into a file or pipe" },
};

struct view {
    struct output out;
    bool human;
    bool any;   /* a frame came */
    bool ready; /* one of them said so */
};

/* --- for people -------------------------------------------------------------- */

static const char *text(const json_t *frame, const char *name)
{
    const char *value = json_string_value(json_object_get(frame, name));
    return value ? value : "";
}

static void row(struct view *v, const char *name, const char *value)
{
    if (value[0])
        output_printf(&v->out, "%-12s %s\n", name, value);
}

static void number_row(struct view *v, const char *name, const json_t *frame, const char *key,
                       const char *unit)
{
    json_int_t n = json_integer_value(json_object_get(frame, key));
    if (n > 0)
        output_printf(&v->out, "%-12s %lld %s\n", name, (long long)n, unit);
}

static void accelerator_row(struct view *v, const json_t *frame)
{
    const char *variant = text(frame, "cpu_variant");
    output_printf(&v->out, "%-12s %s%s%s\n", "accelerator", text(frame, "accelerator"),
                  variant[0] ? ", CPU variant " : "", variant);
}

static void abilities_row(struct view *v, const json_t *frame)
{
    static const char *const names[] = {
        "v2", "vision", "audio", "tools", "thinking", "embed", "rerank",
    };
    output_printf(&v->out, "%-12s generate", "abilities");
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (json_is_true(json_object_get(frame, names[i])))
            output_printf(&v->out, ", %s", names[i]);
    output_printf(&v->out, "\n");
}

static void show_backend(struct view *v, const json_t *frame)
{
    row(v, "backend", text(frame, "backend"));
    if (strcmp(text(frame, "backend"), "builtin") == 0)
        row(v, "", "(no model is configured: this is the one that ships with inferd)");
    row(v, "model", text(frame, "model"));
    accelerator_row(v, frame);
    row(v, "device", text(frame, "device_name"));
    row(v, "sandbox", text(frame, "sandbox"));
    number_row(v, "context", frame, "n_ctx", "tokens per request");
    number_row(v, "slots", frame, "slots", "at a time");
    abilities_row(v, frame);
    output_printf(&v->out, "\n");
}

static void show_state(struct view *v, const json_t *frame)
{
    row(v, "daemon", text(frame, "status"));
    row(v, "phase", text(frame, "phase"));
    row(v, "path", text(frame, "path"));
    number_row(v, "loaded", frame, "percent", "percent");
    number_row(v, "downloaded", frame, "downloaded_bytes", "bytes");
    number_row(v, "of", frame, "total_bytes", "bytes");
}

/* --- the frames -------------------------------------------------------------- */

static int on_frame(void *context, const char *json, size_t len)
{
    struct view *v = context;
    CLEANUP(json_drop) json_t *frame = NULL;
    if (json_read(json, len, &frame, NULL))
        return 0; /* the library has read it, so it is ours to pass on as it is */
    v->any = true;
    v->ready = v->ready || strcmp(text(frame, "status"), "ready") == 0;
    if (!v->human)
        output_line(&v->out, json, len);
    else if (strcmp(text(frame, "status"), "capabilities") == 0)
        show_backend(v, frame);
    else
        show_state(v, frame);
    return v->out.broken;
}

static int show(struct view *v)
{
    struct inferd_error error;
    if (inferd_watch(getenv("INFERD_ADMIN_ADDR"), 0, on_frame, v, &error))
        return complain_with(v->any ? REFUSED : TROUBLE, "%s", error.message);
    return output_verdict(&v->out, v->ready ? DONE : REFUSED);
}

static int run(struct args *args)
{
    struct view view = { 0 };
    output_init(&view.out, STDOUT_FILENO);
    view.human = view.out.terminal;
    for (;;) {
        switch (args_next(args)) {
        case ARG_FLAG:
            view.human = args->flag == FLAG_HUMAN;
            break;
        case ARG_WORD:
            return args_one_too_many(args);
        case ARG_END:
            return show(&view);
        case ARG_STOP:
            return args->exit_code;
        }
    }
}

const struct command command_status = {
    .name = "status",
    .words = "",
    .summary = "tell in what state the daemon is",
    .help = "Tells what the daemon's backends can do and in what state it is: a table on a\n"
            "terminal, elsewhere one line of JSON for each.  Ends with 0 if the daemon is\n"
            "ready, 1 if it is not, 2 if nothing answers.\n",
    .flags = flags,
    .n_flags = ARRAY_LEN(flags),
    .run = run,
};
