/*
 * journal.c - see journal.h.
 *
 * Names and fields that the reference has are kept, with the surface's prefix before the
 * name: request_done on v1, v2_request_done on v2.
 */
#include "journal/journal.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
    PLAIN_ID_MAX = 64, /* bytes of a client's id that is written as it is */
    HASH_SHOWN = 8,    /* bytes of a hash that is written instead */
    EVENT_NAME_MAX = 64,
};

/* --- opening and closing ---------------------------------------------------- */

enum err journal_open(struct journal *j, uv_loop_t *loop, const char *directory,
                      const struct levels *levels, struct error *error)
{
    *j = (struct journal){ .levels = *levels };
    if (RAND_bytes(j->key, sizeof j->key) != 1)
        return fail(error, ERR_INTERNAL, "no random numbers for the log");
    return writer_new(loop, directory, &j->writer, error);
}

void journal_close(struct journal *j, uint64_t within_ms, void (*stuck)(void *owner), void *owner)
{
    if (j->writer)
        writer_close(j->writer, within_ms, stuck, owner);
}

void journal_done(struct journal *j)
{
    writer_free(TAKE(j->writer));
}

bool journal_works(const struct journal *j)
{
    return !j->writer || writer_works(j->writer);
}

uint64_t journal_lost(const struct journal *j)
{
    return j->writer ? writer_lost(j->writer) : 0;
}

/* Begin a line; false if it is not wanted. */
static bool begin(const struct journal *j, struct record *r, const char *component,
                  enum log_level level, const char *msg)
{
    if (!j->writer || !levels_allow(&j->levels, component, level))
        return false;
    record_init(r, component, level, msg);
    return true;
}

static void record_code(struct record *r, enum err code)
{
    if (code)
        record_text(r, "code", error_wire_name(code));
}

/* --- the daemon ------------------------------------------------------------- */

void journal_started(struct journal *j)
{
    struct record r;
    if (!begin(j, &r, "daemon", LOG_INFO, "daemon_started"))
        return;
    record_text(&r, "build", INFERD_BUILD);
    record_text(&r, "version", INFERD_VERSION);
    record_number(&r, "pid", getpid());
    record_number(&r, "uid", geteuid());
    writer_add(j->writer, &r);
}

void journal_ended(struct journal *j, int exit_code)
{
    struct record r;
    if (!begin(j, &r, "daemon", LOG_INFO, "daemon_ended"))
        return;
    record_number(&r, "exit_code", exit_code);
    writer_add(j->writer, &r);
}

void journal_state(struct journal *j, const char *state, const char *phase)
{
    struct record r;
    if (!begin(j, &r, "daemon", LOG_INFO, "state_changed"))
        return;
    record_text(&r, "state", state);
    record_text(&r, "phase", phase);
    writer_add(j->writer, &r);
}

void journal_reload(struct journal *j, enum err code)
{
    struct record r;
    if (!begin(j, &r, "daemon", code ? LOG_WARN : LOG_INFO,
               code ? "config_rejected" : "config_reloaded"))
        return;
    record_code(&r, code);
    writer_add(j->writer, &r);
}

void journal_admin_op(struct journal *j, const char *op, uid_t uid, pid_t pid, enum err code)
{
    struct record r;
    if (!begin(j, &r, "daemon", LOG_INFO, "admin_op"))
        return;
    record_text(&r, "op", op);
    record_number(&r, "peer_uid", (int32_t)uid);
    record_number(&r, "peer_pid", pid);
    record_code(&r, code);
    writer_add(j->writer, &r);
}

/* --- engines ---------------------------------------------------------------- */

void journal_backend(struct journal *j, const char *backend, const char *kind, const char *state,
                     enum err code)
{
    struct record r;
    if (!begin(j, &r, "engine", code ? LOG_WARN : LOG_INFO, "backend_changed"))
        return;
    record_text(&r, "backend", backend);
    record_text(&r, "kind", kind);
    record_text(&r, "state", state);
    record_code(&r, code);
    writer_add(j->writer, &r);
}

void journal_breaker(struct journal *j, const char *backend, const char *kind, const char *state)
{
    struct record r;
    bool open = strcmp(state, "open") == 0;
    if (!begin(j, &r, "engine", open ? LOG_WARN : LOG_INFO, "breaker_changed"))
        return;
    record_text(&r, "backend", backend);
    record_text(&r, "kind", kind);
    record_text(&r, "state", state);
    writer_add(j->writer, &r);
}

/* "SIGSEGV" */
static const char *signal_name(int number, char *ret, size_t size)
{
    const char *name = sigabbrev_np(number);
    if (name)
        snprintf(ret, size, "SIG%s", name);
    else
        snprintf(ret, size, "SIG%d", number);
    return ret;
}

void journal_engine_died(struct journal *j, const struct engine_death *death)
{
    struct record r;
    char name[16];
    if (!begin(j, &r, "engine", LOG_WARN, "engine_died"))
        return;
    record_text(&r, "backend", death->backend);
    record_text(&r, "kind", death->kind);
    record_text(&r, "phase", death->phase);
    record_number(&r, "pid", death->pid);
    record_number(&r, "requests_lost", (int64_t)death->lost);
    if (death->signal)
        record_text(&r, "signal", signal_name(death->signal, name, sizeof name));
    else
        record_number(&r, "exit_code", death->status);
    if (death->cpu_variant && death->cpu_variant[0])
        record_text(&r, "cpu_variant", death->cpu_variant);
    writer_add(j->writer, &r);
}

/* --- connections ------------------------------------------------------------ */

/* "request_done" on v1, "embed_request_done" on embed; both generations of v2 are one. */
static void name_event(const char *surface, const char *event, char *ret, size_t size)
{
    if (strcmp(surface, "v1") == 0)
        snprintf(ret, size, "%s", event);
    else
        snprintf(ret, size, "%s_%s", strncmp(surface, "v2", 2) == 0 ? "v2" : surface, event);
}

static void record_peer(struct record *r, uid_t uid, pid_t pid, const char *exe)
{
    record_number(r, "peer_uid", (int32_t)uid);
    record_number(r, "peer_pid", pid);
    if (exe && exe[0])
        record_text(r, "peer_exe", exe);
}

static void tell_visitor(struct journal *j, const struct visitor *v, const char *event,
                         enum log_level level, const char *why)
{
    struct record r;
    char name[EVENT_NAME_MAX], peer[64];
    name_event(v->surface, event, name, sizeof name);
    snprintf(peer, sizeof peer, "%s:%d:%d", v->transport, (int)v->uid, (int)v->pid);
    if (!begin(j, &r, "activity", level, name))
        return;
    record_text(&r, "surface", v->surface);
    record_text(&r, "transport", v->transport);
    record_text(&r, "peer", peer);
    record_number(&r, "peer_gid", (int32_t)v->gid);
    record_peer(&r, v->uid, v->pid, v->exe);
    record_text(&r, "why", why);
    writer_add(j->writer, &r);
}

void journal_accepted(struct journal *j, const struct visitor *v)
{
    tell_visitor(j, v, "connection_accepted", LOG_INFO, NULL);
}

void journal_refused(struct journal *j, const struct visitor *v, const char *why)
{
    tell_visitor(j, v, "connection_refused", LOG_WARN, why);
}

/* --- requests --------------------------------------------------------------- */

static const char *event_of(const struct report *r)
{
    switch (r->end) {
    case REPORT_DONE:
        return "request_done";
    case REPORT_FAILED:
        return r->first_text_us >= 0 ? "request_error_mid_stream" : "request_failed";
    case REPORT_ABANDONED:
        return "request_abandoned";
    case REPORT_REFUSED:
        return "request_refused";
    }
    return "request_done";
}

static const char *stop_name(enum stop_reason stop)
{
    static const char *const names[] = {
        [STOP_END] = "End",
        [STOP_LENGTH] = "Length",
        [STOP_CANCELLED] = "Cancelled",
        [STOP_ERROR] = "Error",
    };
    return names[stop];
}

/* An id is what a client likes: it is written as it is only where it can't say much. */
static bool is_plain(const char *id)
{
    size_t n = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-");
    return id[n] == '\0' && n >= 1 && n <= PLAIN_ID_MAX;
}

/* "#0123456789abcdef", the same for the same id until the daemon ends. */
static void hash_id(const struct journal *j, const char *id, char *ret)
{
    unsigned char digest[EVP_MAX_MD_SIZE] = { 0 };
    unsigned len = 0;
    HMAC(EVP_sha256(), j->key, sizeof j->key, (const unsigned char *)id, strlen(id), digest, &len);
    *ret++ = '#';
    for (size_t i = 0; i < HASH_SHOWN; i++)
        ret += sprintf(ret, "%02x", digest[i]);
}

static void record_tokens(struct record *line, const struct report *r)
{
    bool v1 = strcmp(r->origin.surface, "v1") == 0;
    record_number(line, v1 ? "prompt_tokens" : "input_tokens", (int64_t)r->prompt_tokens);
    record_number(line, v1 ? "completion_tokens" : "output_tokens", (int64_t)r->completion_tokens);
    record_number(line, "cached_tokens", (int64_t)r->cached_tokens);
}

static void record_times(struct record *line, const struct report *r)
{
    record_ms(line, "queue_ms", r->queue_us);
    record_ms(line, "first_token_ms", r->first_text_us);
    record_ms(line, "total_ms", r->total_us);
    record_ms(line, "longest_gap_ms", r->gaps.n ? r->gaps.longest_us : -1);
}

void journal_request(struct journal *j, const struct report *r)
{
    struct record line;
    char name[EVENT_NAME_MAX], hash[2 + 2 * HASH_SHOWN];
    name_event(r->origin.surface, event_of(r), name, sizeof name);
    if (!begin(j, &line, "activity", r->end == REPORT_FAILED ? LOG_WARN : LOG_INFO, name))
        return;
    if (r->origin.client_id && r->origin.client_id[0]) {
        bool plain = is_plain(r->origin.client_id);
        if (!plain)
            hash_id(j, r->origin.client_id, hash);
        record_text(&line, "req_id", plain ? r->origin.client_id : hash);
    }
    if (r->serial)
        record_number(&line, "serial", (int64_t)r->serial);
    record_text(&line, "surface", r->origin.surface);
    record_peer(&line, r->origin.caller->uid, r->origin.pid, r->origin.caller->label);
    record_number(&line, "caller", (int64_t)r->origin.caller->number);
    record_text(&line, "backend", r->backend);
    record_text(&line, "kind", r->kind);
    if (r->end == REPORT_DONE)
        record_text(&line, "stop_reason", stop_name(r->stop));
    if (r->end == REPORT_DONE || r->backend)
        record_tokens(&line, r);
    if (r->end == REPORT_FAILED || r->end == REPORT_REFUSED)
        record_code(&line, r->error);
    record_times(&line, r);
    writer_add(j->writer, &line);
}
