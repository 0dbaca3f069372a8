/*
 * control.c - what the operator tells a running daemon: read your configuration again, and
 * the orders of the admin socket.
 *
 * A new configuration is read and planned as a whole before anything is touched, so one
 * that is wrong costs nothing but a sentence.
 */
#include <string.h>

#include "base/log.h"
#include "daemon/daemon.h"
#include "serve/lifecycle.h"
#include "serve/stats.h"

enum { NOTES_MAX = 64 * 1024 };

/* --- reloading -------------------------------------------------------------- */

static enum err note(struct buf *notes, const char *fmt, ...) PRINTF(2, 3);

static enum err note(struct buf *notes, const char *fmt, ...)
{
    char sentence[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    return buf_printf(notes, "%s\n", sentence);
}

static enum err note_findings(struct buf *notes, const struct findings *findings)
{
    enum err e = OK;
    for (size_t i = 0; !e && i < findings->n; i++)
        e = note(notes, "%s", findings->at[i].text);
    return e;
}

static enum err note_changes(struct buf *notes, const struct changes *c,
                             const struct config *running, const struct config *wanted)
{
    enum err e = note(notes, "backends: %zu as before, %zu new or changed, %zu to end", c->kept,
                      c->started, c->ended);
    const char *setting;
    for (size_t at = 0; !e && (setting = config_fixed_change(running, wanted, &at));)
        e = note(notes, "%s has changed: that takes a restart of the daemon", setting);
    return e;
}

/* Read and planned, it is made true here; nothing is left that could be wrong with it. */
static enum err apply(struct daemon *d, struct config *wanted, const struct plan *plan,
                      struct buf *notes, struct error *error)
{
    struct changes changes;
    enum err e =
        core_configure(&d->core, plan->setups, plan->n, wanted->queue_depth, &changes, error);
    if (e)
        return e;
    struct levels levels;
    if (!levels_read(wanted->log_level ? wanted->log_level : "", &levels, NULL)) {
        log_init("inferd-daemon", levels.all);
        d->journal.levels = levels;
    }
    if (note_changes(notes, &changes, &d->config, wanted))
        log_warn("no memory to tell all that has changed");
    config_keep_fixed(wanted, &d->config);
    struct config before = d->config;
    d->config = *wanted;
    *wanted = before;
    core_start(&d->core);
    lifecycle_configured(&d->admin, &d->core, d->serving);
    return OK;
}

enum err daemon_reload(struct daemon *d, struct buf *notes, struct error *error)
{
    if (d->draining)
        return fail(error, ERR_BACKEND_UNAVAILABLE, "the daemon is shutting down");
    struct config wanted;
    struct plan plan = { 0 };
    struct findings findings = { 0 };
    enum err e = config_read(&d->flags, &wanted, &findings, error);
    if (!e)
        e = plan_make(&plan, &wanted, error);
    for (size_t i = 0; i < findings.n; i++)
        log_line(findings.at[i].wrong ? LOG_ERROR : LOG_WARN, "%s", findings.at[i].text);
    if (!e && note_findings(notes, &findings))
        e = fail_nomem(error);
    if (!e)
        e = apply(d, &wanted, &plan, notes, error);
    journal_reload(&d->journal, e);
    plan_done(&plan);
    findings_done(&findings);
    config_done(&wanted);
    return e;
}

/* The log hears of every reload, whoever asked for it. */
static enum err reload(struct daemon *d, struct buf *notes, struct error *error)
{
    if (d->serving)
        notify_reloading(&d->notify);
    enum err e = daemon_reload(d, notes, error);
    if (d->serving && !d->draining)
        notify_tell(&d->notify, "READY=1");
    if (e)
        log_error("the configuration stays as it was: %s", error->message);
    const char *end;
    for (size_t at = 0; !e && at < notes->len; at = (size_t)(end - notes->at) + 1) {
        end = memchr(notes->at + at, '\n', notes->len - at);
        log_info("reloaded: %.*s", (int)(end - notes->at - (ptrdiff_t)at), notes->at + at);
    }
    return e;
}

void daemon_reload_on_signal(struct daemon *d)
{
    struct buf notes;
    struct error error;
    buf_init(&notes, NOTES_MAX);
    if (reload(d, &notes, &error))
        buf_clear(&notes); /* why is in the log */
    buf_done(&notes);
}

/* --- orders ----------------------------------------------------------------- */

static enum err put_done(struct buf *reply, const struct admin_order *order, struct buf *notes,
                         struct error *why)
{
    if (admin_put_done(reply, admin_op_name(order->op), notes))
        return fail_nomem(why);
    return OK;
}

static enum err follow(struct daemon *d, const struct admin_order *order, struct buf *notes,
                       struct error *why)
{
    switch (order->op) {
    case ADMIN_STATS: /* has a reply of its own */
        break;
    case ADMIN_RELOAD:
        return reload(d, notes, why);
    case ADMIN_DRAIN:
        daemon_end(d, "ordered to drain");
        break;
    case ADMIN_CANCEL:
        return core_cancel(&d->core, order->serial, why);
    case ADMIN_UNLOAD:
        return core_unload(&d->core, order->backend, why);
    case ADMIN_LOAD:
        return core_load(&d->core, order->backend, why);
    }
    return OK;
}

static enum err on_ordered(void *owner, const struct admin_order *order, struct buf *reply,
                           struct error *why)
{
    struct daemon *d = owner;
    if (order->op == ADMIN_STATS)
        return stats_reply(reply, &d->core, &d->accounting, &d->journal, d->admin.life, why);
    struct buf notes;
    buf_init(&notes, NOTES_MAX);
    enum err e = follow(d, order, &notes, why);
    if (!e)
        e = put_done(reply, order, &notes, why);
    buf_done(&notes);
    return e;
}

const struct admin_ops daemon_admin_ops = { on_ordered };
