/*
 * events.c - see events.h.
 */
#include "events.h"

#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"

enum {
    EVERY_BYTES = 32 * 1024 * 1024,
    EVERY_MS = 5000,
};

/* Write `tree`, which is taken, as a line of `type`. */
static void tell(struct events *e, const char *type, json_t *tree)
{
    CLEANUP(json_drop) json_t *line = tree;
    if (e->lost)
        return;
    CLEANUP(free_ptr) char *text = NULL;
    if (line && json_object_set_new(line, "id", json_string("admin")) == 0 &&
        json_object_set_new(line, "type", json_string(type)) == 0)
        text = json_dumps(line, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        return; /* out of memory: an event less */
    size_t len = strlen(text);
    text[len] = '\n'; /* over the terminator: the line is complete */
    e->lost = !write_all(STDOUT_FILENO, text, len + 1);
}

bool events_lost(struct events *e)
{
    struct pollfd out = { .fd = STDOUT_FILENO };
    if (poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLNVAL)))
        e->lost = true;
    return e->lost;
}

static void tell_phase(struct events *e, const char *phase, json_t *tree)
{
    if (tree && json_object_set_new(tree, "phase", json_string(phase)) == 0 &&
        json_object_set_new(tree, "status", json_string("loading_model")) == 0)
        tell(e, "status", tree);
    else
        json_decref(tree);
}

/* Paths need not be UTF-8. */
static json_t *text_of(const char *bytes)
{
    json_t *text = json_string(bytes);
    if (text)
        return text;
    CLEANUP(free_ptr) char *copy = strdup(bytes);
    if (copy)
        utf8_scrub(copy, strlen(copy));
    return copy ? json_string(copy) : NULL;
}

void events_checking(struct events *e, const char *path)
{
    tell_phase(e, "checking_local", json_pack("{so}", "path", text_of(path)));
}

/* --- download --------------------------------------------------------------- */

static json_t *number_or_null(bool known, uint64_t n)
{
    return known ? json_integer((json_int_t)n) : json_null();
}

static json_t *progress_tree(const struct events *e, const struct amount *a)
{
    uint64_t left = a->total > a->done ? a->total - a->done : 0;
    bool eta = a->total && (left == 0 || e->rate >= 1);
    return json_pack("{sI so ss sI so sI}", "downloaded_bytes", (json_int_t)a->done, "total_bytes",
                     number_or_null(a->total != 0, a->total), "source_url", e->source_url,
                     "rate_bytes_per_second", (json_int_t)e->rate, "eta_seconds",
                     number_or_null(eta, left ? (uint64_t)((double)left / e->rate + 0.5) : 0),
                     "resumed_bytes", (json_int_t)a->resumed);
}

/* The newest stretch counts half. */
static void update_rate(struct events *e, uint64_t done, int64_t now)
{
    if (e->last_ms && now > e->last_ms && done >= e->last_bytes) {
        double rate = (double)(done - e->last_bytes) * 1000 / (double)(now - e->last_ms);
        e->rate = e->rate > 0 ? (e->rate + rate) / 2 : rate;
    }
    e->last_ms = now;
    e->last_bytes = done;
}

void events_progress_now(struct events *e, const struct amount *amount)
{
    update_rate(e, amount->done, clock_ms());
    tell_phase(e, "download", progress_tree(e, amount));
}

void events_progress(struct events *e, const struct amount *amount)
{
    bool due = e->last_ms == 0 || amount->done < e->last_bytes ||
               amount->done - e->last_bytes >= EVERY_BYTES || clock_ms() - e->last_ms >= EVERY_MS;
    if (due)
        events_progress_now(e, amount);
}

void events_waiting(struct events *e, const struct amount *amount, const char *why, int64_t ms,
                    unsigned attempt, unsigned attempts)
{
    update_rate(e, amount->done, clock_ms());
    json_t *tree = progress_tree(e, amount);
    json_t *more = json_pack("{so sf si si}", "waiting_for", text_of(why), "retry_in_seconds",
                             (double)ms / 1000, "attempt", (int)attempt, "attempts", (int)attempts);
    if (tree && more)
        json_object_update(tree, more);
    json_decref(more);
    tell_phase(e, "download", tree);
}

void events_restarted(struct events *e, const char *why)
{
    e->last_bytes = 0;
    tell_phase(e, "download",
               json_pack("{si sn ss so}", "downloaded_bytes", 0, "total_bytes", "source_url",
                         e->source_url, "restarted_because", text_of(why)));
}

void events_waiting_for_lock(struct events *e, const char *why)
{
    tell_phase(e, "checking_local", json_pack("{so}", "waiting_for", text_of(why)));
}

/* --- the other phases ------------------------------------------------------- */

void events_adopted(struct events *e, const char *source, const char *how, uint64_t bytes)
{
    tell_phase(e, "checking_local",
               json_pack("{so ss sI}", "path", text_of(source), "adopted", how, "saved_bytes",
                         (json_int_t)bytes));
}

void events_verify(struct events *e, const char *path)
{
    tell_phase(e, "verify", json_pack("{so}", "path", text_of(path)));
}

void events_quarantine(struct events *e, const char *path, const char *expected, const char *actual,
                       const char *quarantine_path)
{
    tell_phase(e, "quarantine",
               json_pack("{so ss ss so}", "path", text_of(path), "expected_sha256", expected,
                         "actual_sha256", actual, "quarantine_path", text_of(quarantine_path)));
}

void events_done(struct events *e, const char *path, const char *how, uint64_t size,
                 uint64_t transferred)
{
    tell(e, "done",
         json_pack("{so ss sI sI}", "path", text_of(path), "how", how, "size_bytes",
                   (json_int_t)size, "transferred_bytes", (json_int_t)transferred));
}

void events_failed(struct events *e, enum outcome outcome, const char *message)
{
    tell(e, "error",
         json_pack("{ss so}", "code", outcome_name(outcome), "message", text_of(message)));
}
