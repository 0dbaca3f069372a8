/*
 * writer.c - see writer.h.
 *
 *     pending   gathers on the loop
 *     raw       taken by the job; becomes clean, line by line
 *     clean     redacted; leaves as the disk takes it
 *
 * `raw`, `clean`, the file and the redactor belong to the job from uv_queue_work() until
 * on_written(), and to the loop otherwise.  What the disk did not take stays in them for
 * the next try, so no line is written twice.
 *
 * Lines gather for a moment before a job takes them: a job per line would cost more than
 * the requests that the lines are about.
 */
#include "journal/writer.h"

#include <string.h>

#include "journal/file.h"
#include "journal/redact.h"

enum {
    GATHER_MS = 20,
    GATHER_BYTES = 64 * 1024, /* so many do not wait for that moment */
    RETRY_MS = 1000,
    NOTICE_BYTES = 1024,      /* room for the line that says how many are missing */
    KEPT_MEMORY = 256 * 1024, /* a buffer that grew beyond it goes back */
};

struct writer {
    uv_loop_t *loop;
    uv_timer_t timer; /* to gather, to try again, and at last the bound of closing */
    uv_work_t work;
    bool busy;    /* a job is under way */
    bool waiting; /* the timer runs */
    bool broken;  /* the last write failed, and somebody was told */
    bool closing;
    uint64_t lost;     /* in all */
    uint64_t lost_now; /* since the log last said so */
    struct buf pending;
    size_t under_way; /* bytes in raw and clean, as the loop knows it */
    void (*stuck)(void *owner);
    void *owner;

    struct buf raw;
    struct buf clean;
    struct log_file file;
    struct redactor *redactor;
    enum err result;
    struct error failure;
};

static void start_job(struct writer *w);

/* --- on the pool ------------------------------------------------------------ */

/* A line that could not be searched for secrets is not written. */
static enum err withhold(struct buf *out)
{
    static const char line[] = "{\"component\":\"journal\",\"level\":\"error\","
                               "\"msg\":\"line_withheld\"}";
    return buf_append_str(out, line);
}

static enum err clean_line(struct writer *w, const char *line, size_t len)
{
    size_t before = w->clean.len;
    enum err e = redact(w->redactor, line, len, &w->clean);
    if (e && e != ERR_NO_MEMORY)
        e = withhold(&w->clean);
    if (!e)
        e = buf_append(&w->clean, "\n", 1);
    if (e)
        w->clean.len = before;
    return e;
}

/* As much of raw as fits. */
static enum err clean_some(struct writer *w)
{
    enum err e = OK;
    size_t done = 0;
    while (!e && done < w->raw.len && w->clean.len < WRITER_BYTES_MAX) {
        const char *line = w->raw.at + done;
        size_t len = (size_t)((char *)memchr(line, '\n', w->raw.len - done) - line);
        e = clean_line(w, line, len);
        if (!e)
            done += len + 1;
    }
    buf_consume(&w->raw, done);
    return e ? fail_nomem(&w->failure) : OK;
}

static void do_job(uv_work_t *work)
{
    struct writer *w = CONTAINER_OF(work, struct writer, work);
    size_t written = 0;
    w->result = clean_some(w);
    if (!w->result && w->clean.len > 0) {
        w->result = log_file_append(&w->file, w->clean.at, w->clean.len, &written, &w->failure);
        buf_consume(&w->clean, written);
    }
}

/* --- on the loop ------------------------------------------------------------ */

static void on_timer(uv_timer_t *timer)
{
    struct writer *w = timer->data;
    w->waiting = false;
    if (!w->closing)
        start_job(w);
    else if (w->busy)
        w->stuck(w->owner);
}

static void wait_for(struct writer *w, uint64_t ms)
{
    w->waiting = true;
    uv_timer_start(&w->timer, on_timer, ms, 0);
}

static void queue(struct writer *w, struct record *r)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    size_t before = w->pending.len;
    enum err e = record_put(r, &now, &w->pending);
    if (e || w->pending.len + w->under_way > WRITER_BYTES_MAX) {
        w->pending.len = before;
        w->lost++;
        w->lost_now++;
    }
}

static void tell_failure(struct writer *w)
{
    if (!w->broken)
        log_warn("%s; the activity log has to wait, serving goes on", w->failure.message);
    w->broken = true;
}

static void tell_recovery(struct writer *w)
{
    if (w->broken)
        log_info("the activity log is written again; %llu lines were lost meanwhile",
                 (unsigned long long)w->lost_now);
    w->broken = false;
    if (w->lost_now > 0 && w->pending.len + w->under_way < WRITER_BYTES_MAX - NOTICE_BYTES) {
        struct record r;
        record_init(&r, "journal", LOG_WARN, "lines_lost");
        record_number(&r, "lost", (int64_t)w->lost_now);
        w->lost_now = 0;
        queue(w, &r);
    }
}

static void give_back(struct buf *b)
{
    if (b->len == 0 && b->cap > KEPT_MEMORY)
        buf_done(b);
}

/* No job is under way: start one, wait, or end. */
static void go_on(struct writer *w)
{
    size_t queued = w->pending.len + w->under_way;
    if (w->closing && (w->result || queued == 0))
        uv_close((uv_handle_t *)&w->timer, NULL);
    else if (w->result)
        wait_for(w, RETRY_MS);
    else if (w->closing || w->under_way > 0 || queued >= GATHER_BYTES)
        start_job(w);
    else if (queued > 0 && !w->waiting)
        wait_for(w, GATHER_MS);
}

static void on_written(uv_work_t *work, int status UNUSED)
{
    struct writer *w = CONTAINER_OF(work, struct writer, work);
    w->busy = false;
    w->under_way = w->raw.len + w->clean.len;
    give_back(&w->raw);
    give_back(&w->clean);
    if (w->result)
        tell_failure(w);
    else
        tell_recovery(w);

    go_on(w);
}

static void start_job(struct writer *w)
{
    if (w->waiting && !w->closing)
        uv_timer_stop(&w->timer);
    w->waiting = false;
    if (w->under_way == 0) {
        struct buf empty = w->raw;
        w->raw = w->pending;
        w->pending = empty;
        w->under_way = w->raw.len;
    }
    w->busy = true;
    uv_queue_work(w->loop, &w->work, do_job, on_written);
}

/* --- what others call ------------------------------------------------------- */

enum err writer_new(uv_loop_t *loop, const char *directory, struct writer **ret,
                    struct error *error)
{
    struct writer *w = calloc(1, sizeof *w);
    if (!w)
        return fail_nomem(error);
    enum err e = log_file_init(&w->file, directory, error);
    if (!e)
        e = redactor_new(&w->redactor, error);
    if (e) {
        writer_free(w);
        return e;
    }
    w->loop = loop;
    buf_init(&w->pending, WRITER_BYTES_MAX);
    buf_init(&w->raw, WRITER_BYTES_MAX);
    buf_init(&w->clean, WRITER_BYTES_MAX + REDACTED_BYTES_MAX + 1);
    uv_timer_init(loop, &w->timer);
    uv_unref((uv_handle_t *)&w->timer);
    w->timer.data = w;
    *ret = w;
    return OK;
}

void writer_add(struct writer *w, struct record *r)
{
    queue(w, r);
    if (!w->busy && !w->closing && !w->broken)
        go_on(w);
}

bool writer_works(const struct writer *w)
{
    return !w->broken;
}

uint64_t writer_lost(const struct writer *w)
{
    return w->lost;
}

void writer_close(struct writer *w, uint64_t within_ms, void (*stuck)(void *owner), void *owner)
{
    w->closing = true;
    w->stuck = stuck;
    w->owner = owner;
    wait_for(w, within_ms);
    if (!w->busy) {
        w->result = OK; /* one more try */
        go_on(w);
    }
}

void writer_free(struct writer *w)
{
    if (!w)
        return;
    log_file_done(&w->file);
    redactor_free(w->redactor);
    buf_done(&w->pending);
    buf_done(&w->raw);
    buf_done(&w->clean);
    free(w);
}
