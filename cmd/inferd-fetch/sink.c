/*
 * sink.c - see sink.h.
 */
#include "sink.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"

enum {
    FLUSH_BYTES = 8 * 1024 * 1024,
    FLUSH_MS = 5000,
    UNMARKED_MAX = 128 * 1024, /* what a kill may lose of what was written */
};

/* --- beginning -------------------------------------------------------------- */

/* What an earlier run left, or nothing. */
static enum err resume(struct sink *s, const char *source, struct error *error)
{
    struct stat st;
    if (fstat(s->partial->fd, &st) < 0)
        return fail_sys(error, "cannot look at the partial download");
    s->begun = journal_load(&s->journal, (uint64_t)st.st_size, &s->identity, &s->written);
    if (s->identity.size == 0)
        s->begun = false; /* a stream without a length can't be gone on with */
    if (s->begun && strcmp(s->identity.source, source) != 0) {
        /* Another place says other things about the same bytes; the size must agree. */
        s->identity.etag[0] = s->identity.last_modified[0] = '\0';
    }
    if (!s->begun)
        s->written.n = 0;
    if (!s->begun && st.st_size > 0 && ftruncate(s->partial->fd, 0) < 0)
        return fail_sys(error, "cannot empty the partial download");
    return OK;
}

enum err sink_open(struct sink *s, struct partial *partial, const char *source, struct error *error)
{
    *s = (struct sink){ .partial = partial, .journal.fd = -1, .flushed_ms = clock_ms() };
    enum err e = journal_open(&s->journal, partial->dir_fd, PARTIAL_JOURNAL, error);
    if (!e)
        e = resume(s, source, error);
    if (!e)
        e = digester_new(partial->fd, &s->digester, error);
    if (!e)
        e = flusher_new(partial->fd, &s->journal, &s->flusher, error);
    if (!e)
        digester_advance(s->digester, spans_prefix(&s->written));
    return e;
}

void sink_done(struct sink *s)
{
    flusher_free(s->flusher);
    digester_free(s->digester);
    journal_close(&s->journal);
    *s = (struct sink){ .journal.fd = -1 };
}

enum err sink_begin(struct sink *s, const struct identity *identity, struct error *error)
{
    s->begun = false;
    s->unmarked = s->unflushed = 0;
    s->written.n = 0;
    enum err e = flusher_rest(s->flusher, error);
    if (!e)
        e = digester_restart(s->digester, error);
    /* First the marks, then the bytes: marks without bytes would be lies. */
    if (!e)
        e = journal_begin(&s->journal, identity, error);
    if (!e && ftruncate(s->partial->fd, 0) < 0)
        e = fail_sys(error, "cannot empty the partial download");
    if (e)
        return e;
    s->identity = *identity;
    s->begun = true;
    return OK;
}

/* --- going on --------------------------------------------------------------- */

static enum err mark(struct sink *s, struct error *error)
{
    s->unmarked = 0;
    return journal_mark(&s->journal, &s->written, error);
}

/* What a write failed with, and what to do about it. */
static enum err cannot_write(const struct sink *s, struct error *error)
{
    char path[STORE_PATH_MAX];
    store_partial_path(s->partial->store, &s->partial->digest, path);
    uint64_t have = spans_total(&s->written), size = s->identity.size;
    char missing[64] = "";
    if (size > have)
        snprintf(missing, sizeof missing, " %llu more bytes are needed;",
                 (unsigned long long)(size - have));
    bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
    return fail(error, full ? ERR_NO_SPACE : ERR_SYSTEM,
                "cannot write %.200s: %s;%s what was downloaded is kept, and the next run goes on "
                "from there",
                path, strerror(errno), missing);
}

enum err sink_write(struct sink *s, uint64_t at, const void *bytes, size_t n, struct error *error)
{
    const char *from = bytes;
    while (n > 0) {
        ssize_t done = pwrite(s->partial->fd, from, n, (off_t)at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return cannot_write(s, error);
        if (!spans_add(&s->written, (struct span){ at, at + (uint64_t)done }))
            return fail(error, ERR_INTERNAL, "too many holes in the download");
        s->unmarked += (uint64_t)done;
        s->unsettled = true;
        s->unflushed += (uint64_t)done;
        at += (uint64_t)done;
        from += done;
        n -= (size_t)done;
    }
    return s->unmarked >= UNMARKED_MAX ? mark(s, error) : OK;
}

enum err sink_settle(struct sink *s, struct error *error)
{
    if (!s->unsettled)
        return OK;
    s->unsettled = false;
    enum err e = s->unmarked ? mark(s, error) : OK;
    if (e)
        return e;
    digester_advance(s->digester, spans_prefix(&s->written));
    if (s->unflushed < FLUSH_BYTES && clock_ms() - s->flushed_ms < FLUSH_MS)
        return OK;
    s->flushed_ms = clock_ms();
    s->unflushed = 0;
    return flusher_want(s->flusher, &s->written, error);
}

/* --- ending ----------------------------------------------------------------- */

void sink_keep(struct sink *s)
{
    if (!s->begun || !s->flusher)
        return;
    /* The program ends with another error already; each of these may fail for it, too. */
    enum err e = s->unmarked ? mark(s, NULL) : OK;
    if (!e && s->unflushed)
        e = flusher_want(s->flusher, &s->written, NULL);
    if (!e)
        e = flusher_rest(s->flusher, NULL);
    (void)e;
}

enum err sink_finish(struct sink *s, uint64_t size, struct digest *ret, struct error *error)
{
    enum err e = sink_settle(s, error);
    if (!e)
        e = flusher_rest(s->flusher, error);
    return e ? e : digester_finish(s->digester, size, ret, error);
}
