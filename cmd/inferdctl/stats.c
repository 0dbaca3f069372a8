/*
 * stats - tell what the daemon did since it started, and for whom.
 *
 *     inferdctl stats [--json]
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "command.h"
#include "inferd/client.h"
#include "output.h"
#include "words.h"

enum { FLAG_JSON };

static const struct flag flags[] = {
    [FLAG_JSON] = { "--json", 0, NULL, "the daemon's reply, one line of JSON" },
};

static const char *text(const json_t *tree, const char *key)
{
    const char *value = json_string_value(json_object_get(tree, key));
    return value ? value : "";
}

static long long number(const json_t *tree, const char *key)
{
    return json_integer_value(json_object_get(tree, key));
}

static double ms(const json_t *tree, const char *key)
{
    return json_number_value(json_object_get(tree, key)) * 1000;
}

/* --- totals ----------------------------------------------------------------- */

static void show_latencies(struct output *out, const json_t *totals)
{
    static const struct {
        const char *key, *name;
    } rows[] = {
        { "queue_wait", "queue wait" },
        { "time_to_first_token", "first token" },
        { "inter_token", "between tokens" },
        { "request", "whole request" },
    };
    const json_t *latencies = json_object_get(totals, "latencies");
    output_printf(out, "%-16s %10s %10s %10s\n", "", "p50 ms", "p95 ms", "p99 ms");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const json_t *l = json_object_get(latencies, rows[i].key);
        if (number(l, "count") > 0)
            output_printf(out, "%-16s %10.1f %10.1f %10.1f\n", rows[i].name, ms(l, "p50"),
                          ms(l, "p95"), ms(l, "p99"));
    }
}

static void show_totals(struct output *out, const json_t *totals)
{
    output_printf(out, "%-12s %lld: %lld done, %lld failed, %lld abandoned, %lld refused\n",
                  "requests", number(totals, "requests"), number(totals, "done"),
                  number(totals, "failed"), number(totals, "abandoned"), number(totals, "refused"));
    const char *code;
    json_t *count;
    json_object_foreach(json_object_get(totals, "errors"), code, count)
    {
        output_printf(out, "%-12s %lld %s\n", "", json_integer_value(count), code);
    }
    output_printf(out, "%-12s %lld in (%lld of them cached), %lld out\n", "tokens",
                  number(totals, "prompt_tokens"), number(totals, "cached_tokens"),
                  number(totals, "completion_tokens"));
    if (number(totals, "done") > 0)
        show_latencies(out, totals);
}

/* --- lists ------------------------------------------------------------------ */

static void show_backend(struct output *out, const json_t *b)
{
    const json_t *totals = json_object_get(b, "totals");
    output_printf(out, "\n%-12s %s (%s): %s%s%s\n", "backend", text(b, "name"), text(b, "kind"),
                  text(b, "state"), text(b, "why")[0] ? ": " : "", text(b, "why"));
    if (text(b, "model")[0])
        output_printf(out, "%-12s %s, SHA-256 %.12s\n", "model", text(b, "model"),
                      text(b, "sha256"));
    if (text(b, "accelerator")[0])
        output_printf(out, "%-12s %s%s%s\n", "accelerator", text(b, "accelerator"),
                      text(b, "cpu_variant")[0] ? ", CPU variant " : "", text(b, "cpu_variant"));
    if (number(b, "threads") > 0)
        output_printf(out, "%-12s %lld, %lld for prompts; on %s\n", "threads", number(b, "threads"),
                      number(b, "batch_threads"), text(b, "device"));
    if (text(b, "sandbox")[0])
        output_printf(out, "%-12s %s\n", "sandbox", text(b, "sandbox"));
    if (number(b, "n_ctx") > 0)
        output_printf(out, "%-12s %lld tokens per request%s%s\n", "context", number(b, "n_ctx"),
                      text(b, "kv")[0] ? ", " : "", text(b, "kv"));
    if (text(b, "prefixes")[0])
        output_printf(out, "%-12s %s\n", "prefixes", text(b, "prefixes"));
    const json_t *context = json_object_get(b, "context");
    if (context)
        output_printf(out, "%-12s %lld of %lld tokens; %lld of %lld prompt tokens came from it\n",
                      "kept", number(context, "used"), number(context, "size"),
                      number(context, "cached_tokens"), number(context, "prompt_tokens"));
    if (number(context, "prefix_cache_max") > 0)
        output_printf(out,
                      "%-12s %lld of %lld MiB, with beginnings that had to leave the context\n",
                      "prefix cache", number(context, "prefix_cache_bytes") >> 20,
                      number(context, "prefix_cache_max") >> 20);
    if (text(b, "breaker")[0] && strcmp(text(b, "breaker"), "closed") != 0)
        output_printf(out, "%-12s %s: it failed too often\n", "breaker", text(b, "breaker"));
    output_printf(out, "%-12s %lld of %lld in use; its engine died %lld times\n", "slots",
                  number(b, "running"), number(b, "slots"), number(b, "deaths"));
    output_printf(out, "%-12s %lld requests, %lld tokens in, %lld out\n", "so far",
                  number(totals, "requests"), number(totals, "prompt_tokens"),
                  number(totals, "completion_tokens"));
}

static void show_callers(struct output *out, const json_t *callers)
{
    size_t i;
    json_t *c;
    if (json_array_size(callers) > 0)
        output_printf(out, "\n%8s %9s %9s %8s %8s %9s %11s  %s\n", "UID", "REQUESTS", "REFUSED",
                      "WAITING", "RUNNING", "TOKENS IN", "TOKENS OUT", "PROGRAM");
    json_array_foreach(callers, i, c)
    {
        const json_t *t = json_object_get(c, "totals");
        output_printf(out, "%8lld %9lld %9lld %8lld %8lld %9lld %11lld  %s\n", number(c, "uid"),
                      number(t, "requests"), number(t, "refused"), number(c, "waiting"),
                      number(c, "running"), number(t, "prompt_tokens"),
                      number(t, "completion_tokens"), text(c, "executable"));
    }
}

static void show_requests(struct output *out, const json_t *requests)
{
    size_t i;
    json_t *r;
    if (json_array_size(requests) > 0)
        output_printf(out, "\n%10s %-10s %9s %8s  %-16s %s\n", "SERIAL", "STATE", "AGE s", "UID",
                      "BACKEND", "PROGRAM");
    json_array_foreach(requests, i, r)
    {
        output_printf(out, "%10lld %-10s %9.1f %8lld  %-16s %s\n", number(r, "serial"),
                      text(r, "state"), json_number_value(json_object_get(r, "age_ms")) / 1000,
                      number(r, "uid"), text(r, "backend"), text(r, "executable"));
    }
}

static void show(struct output *out, const json_t *reply)
{
    double uptime = json_number_value(json_object_get(reply, "uptime_seconds"));
    output_printf(out, "%-12s %s, version %s, up for %s\n", "daemon", text(reply, "state"),
                  text(reply, "version"), words_seconds((uint64_t)uptime).text);
    output_printf(out, "%-12s %lld waiting, room for %lld\n", "queue", number(reply, "waiting"),
                  number(reply, "queue_depth"));
    if (number(reply, "suspects") > 0)
        output_printf(out, "%-12s %lld may have killed an engine and run alone; %lld are refused\n",
                      "suspects", number(reply, "suspects"), number(reply, "suspects_refused"));
    show_totals(out, json_object_get(reply, "totals"));
    size_t i;
    json_t *backend;
    json_array_foreach(json_object_get(reply, "backends"), i, backend)
    {
        show_backend(out, backend);
    }
    show_callers(out, json_object_get(reply, "callers"));
    show_requests(out, json_object_get(reply, "requests"));
}

/* --- the command ------------------------------------------------------------ */

static int ask(bool as_json)
{
    struct output out;
    struct inferd_error error;
    CLEANUP(free_ptr) char *reply = NULL;
    CLEANUP(json_drop) json_t *tree = NULL;
    output_init(&out, STDOUT_FILENO);
    enum inferd_status status =
        inferd_order(getenv("INFERD_ADMIN_ADDR"), "{\"op\":\"stats\"}", &reply, &error);
    if (status)
        return complain_with(status == INFERD_REFUSED ? REFUSED : TROUBLE, "%s", error.message);
    if (as_json)
        output_line(&out, reply, strlen(reply));
    else if (json_read(reply, strlen(reply), &tree, NULL))
        return complain_with(TROUBLE, "the daemon's reply makes no sense");
    else
        show(&out, tree);
    return output_verdict(&out, DONE);
}

static int run(struct args *args)
{
    bool as_json = false;
    for (;;) {
        switch (args_next(args)) {
        case ARG_FLAG:
            as_json = true;
            break;
        case ARG_WORD:
            return args_one_too_many(args);
        case ARG_END:
            return ask(as_json);
        case ARG_STOP:
            return args->exit_code;
        }
    }
}

const struct command command_stats = {
    .name = "stats",
    .words = "",
    .summary = "tell what the daemon did since it started, and for whom",
    .help = "Tells how the daemon and its backends are, how many requests and tokens there were\n"
            "and how long they took, and the same by program; then what is in hand right now.\n",
    .flags = flags,
    .n_flags = ARRAY_LEN(flags),
    .run = run,
};
