/*
 * inferd-daemon.c - the daemon, wired together.
 *
 *     lock --> admin socket --> engines --> (one is ready) --> doors for clients
 *
 * One thread and one loop.  The daemon links no inference library, parses no model
 * and opens no network connection; what computes runs in child processes.
 *
 * It ends in this order: no more connections are accepted; waiting requests are
 * refused; running ones go on until they are done or the limit is over (a second
 * signal ends the patience); connections close as they are answered; then the rest.
 */
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "daemon/check.h"
#include "daemon/daemon.h"
#include "journal/redact.h"
#include "serve/lifecycle.h"
#include "serve/lock.h"

enum {
    EXIT_USAGE = 2,
    LAST_WORDS_MS = 1000,  /* for the last frames to leave, once the limit is over */
    LAST_LINES_MS = 2000,  /* for the last lines of the log */
    LAST_ENGINE_MS = 5000, /* for the engines that were killed */
    /* Kept for the next turn instead of being given back to the kernel after each. */
    SPARE_MEMORY = 4 * 1024 * 1024,
    ADMIN_MODE = 0600,
};

/* --- the end ---------------------------------------------------------------- */

/* It waits for a device that does not answer; nobody else needs to wait for it. */
static void on_engine_stuck(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    log_error("ending without an engine that can't be killed");
    _exit(d->exit_code);
}

static void on_last_words_over(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    admin_close(&d->admin, true);
    uv_timer_start(timer, on_engine_stuck, LAST_ENGINE_MS, 0);
}

/* Its disk hangs, and the pool would wait for it. */
static void on_log_stuck(void *owner)
{
    struct daemon *d = owner;
    log_error("ending without the last lines of the activity log: its disk does not answer");
    _exit(d->exit_code);
}

/* Let go of all that keeps the loop alive.  Subscribers get a moment to read their
 * last frames; the loop need not wait for that moment once they have. */
static void finish(struct daemon *d)
{
    if (d->finished)
        return;
    d->finished = true;
    core_done(&d->core);
    systemd_end(d);
    clients_close(&d->clients);
    journal_ended(&d->journal, d->exit_code);
    journal_close(&d->journal, LAST_LINES_MS, on_log_stuck, d);
    listener_close(d->admin_listener);
    for (size_t i = 0; i < ARRAY_LEN(d->signals); i++)
        uv_close((uv_handle_t *)&d->signals[i], NULL);
    uv_timer_start(&d->patience, on_last_words_over, LAST_WORDS_MS, 0);
    uv_unref((uv_handle_t *)&d->patience);
    admin_close(&d->admin, false);
}

static void on_all_answered(uv_timer_t *timer)
{
    finish(timer->data);
}

/* The last client has gone, perhaps deep inside of something that core is doing: the
 * end waits for the loop's next turn. */
static void on_emptied(void *owner)
{
    struct daemon *d = owner;
    uv_timer_start(&d->patience, on_all_answered, 0, 0);
}

static void on_patience_over(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    if (d->impatient) {
        clients_drop(&d->clients);
        return;
    }
    log_warn("ending the requests that still run");
    d->impatient = true;
    uv_timer_start(timer, on_patience_over, LAST_WORDS_MS, 0);
    core_done(&d->core);
}

static void drain(struct daemon *d)
{
    d->draining = true;
    admin_tell_status(&d->admin, LIFE_DRAINING, NULL);
    notify_tell(&d->notify, "STOPPING=1\nSTATUS=finishing what runs");
    doors_close(&d->doors);
    uv_timer_start(&d->patience, on_patience_over, (uint64_t)d->config.drain_timeout_secs * 1000,
                   0);
    core_drain(&d->core);
    clients_drain(&d->clients);
}

void daemon_end(struct daemon *d, const char *why)
{
    if (!d->draining) {
        log_info("%s: finishing what runs", why);
        drain(d);
    } else if (!d->impatient && !d->finished) {
        on_patience_over(&d->patience);
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    if (number == SIGHUP)
        daemon_reload_on_signal(handle->data);
    else
        daemon_end(handle->data, strsignal(number));
}

/* --- the beginning ---------------------------------------------------------- */

static void on_admin_connection(void *owner, int fd)
{
    struct daemon *d = owner;
    admin_accept(&d->admin, fd);
}

static void give_up(struct daemon *d, const struct error *why)
{
    log_error("%s", why->message);
    d->exit_code = EXIT_FAILURE;
    drain(d);
}

/* The first backend is ready: let clients in. */
static void start_serving(struct daemon *d)
{
    struct error error;
    if (doors_open(&d->doors, &d->io, &d->clients, d->group, &d->activation, &error)) {
        give_up(d, &error);
        return;
    }
    activation_done(&d->activation);
    d->serving = true;
    log_info("ready");
    notify_tell(&d->notify, "READY=1");
}

/* READY, RESTARTING and FAILED, each of which is told once. */
static void log_backend(struct daemon *d, const struct backend *b)
{
    const struct capabilities *c = engine_capabilities(b->engine);
    switch (backend_state(b)) {
    case ENGINE_READY:
        journal_backend(&d->journal, b->name, b->kind, "ready", OK);
        log_info("backend '%s' is ready (%s, pid %d%s%s)", b->name, c->model, engine_pid(b->engine),
                 c->cpu_variant[0] ? ", CPU variant " : "", c->cpu_variant);
        break;
    case ENGINE_RESTARTING:
        journal_backend(&d->journal, b->name, b->kind, "restarting", backend_why(b)->code);
        log_warn("%s; starting it again", backend_why(b)->message);
        break;
    case ENGINE_FAILED:
        journal_backend(&d->journal, b->name, b->kind, "failed", backend_why(b)->code);
        log_error("backend '%s' has failed: %s", b->name, backend_why(b)->message);
        break;
    case ENGINE_STOPPED:
        journal_backend(&d->journal, b->name, b->kind, "stopped", OK);
        log_info("backend '%s' is unloaded", b->name);
        break;
    case ENGINE_STARTING:
        break;
    }
}

static void on_backend_changed(void *owner, struct backend *b)
{
    struct daemon *d = owner;
    log_backend(d, b);
    if (d->draining)
        return;
    if (!d->serving && lifecycle_ready(&d->core))
        start_serving(d);
    systemd_backend_changed(d, b);
    lifecycle_backend_changed(&d->admin, &d->core, b, d->serving);
    if (!d->serving && !d->draining && !core_has_hope(&d->core))
        give_up(d, backend_why(b));
}

static void on_breaker_changed(void *owner, struct backend *b)
{
    struct daemon *d = owner;
    enum breaker_state state = breaker_state(&b->breaker, clock_ms());
    journal_breaker(&d->journal, b->name, b->kind, breaker_state_name(state));
    if (state == BREAKER_OPEN)
        log_warn("backend '%s' has failed %d times: it is left alone for %d s", b->name,
                 BREAKER_FAILURES, BREAKER_REST_MS / 1000);
    else
        log_info("backend '%s' does not fail any more", b->name);
}

static void on_backend_prepares(void *owner, struct backend *b, const char *line, size_t len,
                                struct error *why)
{
    struct daemon *d = owner;
    if (!d->draining)
        lifecycle_backend_prepares(&d->admin, &d->core, b, line, len, why);
    systemd_backend_changed(d, b);
}

static void on_engine_died(void *owner, struct backend *b, const struct engine_end *end)
{
    struct daemon *d = owner;
    const struct phase_news *phase = engine_phase(b->engine);
    const char *ready_on = engine_capabilities(b->engine)->cpu_variant;
    journal_engine_died(&d->journal,
                        &(struct engine_death){
                            .backend = b->name,
                            .kind = b->kind,
                            .pid = end->pid,
                            .signal = end->signal,
                            .status = end->status,
                            .phase = end->was_ready ? "ready" : phase_name(phase->phase),
                            .cpu_variant = end->was_ready ? ready_on : phase->cpu_variant,
                            .lost = b->running.len,
                        });
}

static void on_reported(void *owner, const struct report *report)
{
    struct daemon *d = owner;
    accounting_book(&d->accounting, report);
    journal_request(&d->journal, report);
}

static const struct core_ops core_ops = {
    .reported = on_reported,
    .engine_died = on_engine_died,
    .backend_changed = on_backend_changed,
    .breaker_changed = on_breaker_changed,
    .backend_prepares = on_backend_prepares,
};

/* Many clients are many descriptors; engines get cores of nobody's prompts. */
static void set_limits(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    prctl(PR_SET_DUMPABLE, 0); /* nor may others of its user read its memory */
    mallopt(M_TRIM_THRESHOLD, SPARE_MEMORY);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error, not an end */
    umask(077);
}

static enum err prepare(struct daemon *d, struct error *error)
{
    if (d->config.builtin)
        log_warn("no model is configured: serving the built-in one, which knows inferd and "
                 "little else");
    enum err e = daemon_make_place(d, error);
    if (!e)
        e = lock_acquire(d->config.lock_path, &d->lock_fd, error);
    if (!e)
        e = plan_make(&d->plan, &d->config, error);
    return e;
}

static void watch_signals(struct daemon *d)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        uv_signal_init(&d->loop, &d->signals[i]);
        d->signals[i].data = d;
        uv_signal_start(&d->signals[i], on_signal, numbers[i]);
    }
    uv_timer_init(&d->loop, &d->patience);
    d->patience.data = d;
}

static enum err open_journal(struct daemon *d, struct error *error)
{
    struct levels levels;
    enum err e = levels_read(d->config.log_level ? d->config.log_level : "", &levels, error);
    if (e)
        return e;
    log_init("inferd-daemon", levels.all);
    e = journal_open(&d->journal, &d->loop, d->config.log_dir, &levels, error);
    journal_started(&d->journal);
    return e;
}

static enum err open_admin(struct daemon *d, struct error *error)
{
    const char *path = d->config.admin_path;
    int fd = activation_take(&d->activation, "admin", path);
    if (fd >= 0)
        return listener_adopt(&d->io, fd, on_admin_connection, d, &d->admin_listener, error);
    return listener_open(&d->io, path, ADMIN_MODE, (gid_t)-1, on_admin_connection, d,
                         &d->admin_listener, error);
}

static enum err start(struct daemon *d, struct error *error)
{
    io_init(&d->io, &d->loop);
    accounting_init(&d->accounting, &d->core.callers);
    admin_init(&d->admin, &d->io, &d->journal, &daemon_admin_ops, d);
    enum err e = core_init(&d->core, &d->io, &core_ops, d, error);
    clients_init(&d->clients, &d->io, &d->config, &d->core, &d->journal, on_emptied, d);
    watch_signals(d);
    systemd_begin(d);

    if (!e)
        e = open_journal(d, error);
    if (!e)
        e = open_admin(d, error);
    if (e)
        return e;
    admin_tell_status(&d->admin, LIFE_STARTING, NULL);
    e = core_configure(&d->core, d->plan.setups, d->plan.n, d->config.queue_depth, NULL, error);
    plan_done(&d->plan);
    if (!e)
        core_start(&d->core);
    return e;
}

static int run(struct daemon *d)
{
    struct error error;
    activation_read(&d->activation);
    if (prepare(d, &error)) {
        log_error("%s", error.message);
        return EXIT_FAILURE;
    }
    int failed = uv_loop_init(&d->loop);
    if (failed) {
        log_error("cannot make an event loop: %s", uv_strerror(failed));
        return EXIT_FAILURE;
    }
    if (start(d, &error)) {
        log_error("%s", error.message);
        d->exit_code = EXIT_FAILURE;
        finish(d);
    }
    uv_run(&d->loop, UV_RUN_DEFAULT);

    uv_close((uv_handle_t *)&d->patience, NULL);
    io_done(&d->io);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    uv_loop_close(&d->loop);
    clients_done(&d->clients);
    admin_done(&d->admin);
    journal_done(&d->journal);
    accounting_done(&d->accounting);
    log_info("ended");
    return d->exit_code;
}

static void release(struct daemon *d)
{
    plan_done(&d->plan);
    config_done(&d->config);
    flags_done(&d->flags);
    close_fd(&d->lock_fd);
    activation_done(&d->activation);
    notify_done(&d->notify);
    log_set_filter(NULL, NULL);
    redactor_free(d->redactor);
}

static enum err without_secrets(void *redactor, const char *line, size_t len, struct buf *out)
{
    return redact(redactor, line, len, out);
}

/* Say what was found; what is wrong, with what it stands for. */
static int configure_and_run(struct daemon *d)
{
    struct findings findings = { 0 };
    struct error error;
    if (redactor_new(&d->redactor, &error)) {
        log_error("%s", error.message);
        return EXIT_FAILURE;
    }
    log_set_filter(without_secrets, d->redactor);
    enum err e = config_read(&d->flags, &d->config, &findings, &error);
    for (size_t i = 0; i < findings.n; i++)
        log_line(findings.at[i].wrong ? LOG_ERROR : LOG_WARN, "%s", findings.at[i].text);
    if (e && findings.n_wrong == 0)
        log_error("%s", error.message);
    findings_done(&findings);
    if (e)
        return e == ERR_INVALID_REQUEST ? EXIT_USAGE : EXIT_FAILURE;
    if (d->flags.secret_shown)
        log_warn("--%s shows its key to whoever lists processes until the daemon has read it: "
                 "better put it in the environment",
                 d->flags.secret_shown);
    if (d->flags.action == FLAGS_CHECK)
        return check_config(&d->config) ? EXIT_SUCCESS : EXIT_FAILURE;
    return run(d);
}

int main(int argc, char **argv)
{
    struct daemon d = { .lock_fd = -1, .notify.fd = -1 };
    struct error error;

    log_init("inferd-daemon", LOG_INFO);
    /* Two lines of many megabytes may be parsed at a time beside the log; more would only
     * fight for the processors with the loop. */
    setenv("UV_THREADPOOL_SIZE", "3", 1);
    set_limits();
    /* Lines of many megabytes grow by mremap(), not by copying, whatever malloc() learns
     * from earlier ones. */
    mallopt(M_MMAP_THRESHOLD, 1024 * 1024);

    enum err e = flags_read(argc, argv, &d.flags, &error);
    int code = EXIT_SUCCESS;
    if (e) {
        fprintf(stderr, "inferd-daemon: %s\n", error.message);
        code = e == ERR_INVALID_REQUEST ? EXIT_USAGE : EXIT_FAILURE;
    } else if (d.flags.action == FLAGS_HELP) {
        flags_print_help();
    } else if (d.flags.action == FLAGS_VERSION) {
        printf("inferd-daemon %s\n", INFERD_VERSION);
    } else {
        code = configure_and_run(&d);
    }
    release(&d);
    return code;
}
