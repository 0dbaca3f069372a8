/*
 * flusher.c - see flusher.h.
 */
#include "flusher.h"

#include <errno.h>
#include <pthread.h>

struct flusher {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int data_fd;             /* borrowed */
    struct journal *journal; /* borrowed */
    struct spans wanted;
    bool wish; /* `wanted` waits */
    bool busy; /* the thread flushes, without the lock */
    bool quit;
    struct error failed; /* code is OK while all is well */
};

static enum err flush(struct flusher *f, const struct spans *spans, struct error *error)
{
    if (fdatasync(f->data_fd) < 0)
        return fail_sys(error, "cannot flush the download to the disk");
    return journal_mark_flushed(f->journal, spans, error);
}

static void *run(void *arg)
{
    struct flusher *f = arg;
    pthread_mutex_lock(&f->lock);
    while (!f->quit) {
        if (!f->wish) {
            pthread_cond_wait(&f->changed, &f->lock);
            continue;
        }
        struct error error = { .code = OK };
        struct spans spans = f->wanted;
        f->wish = false;
        f->busy = true;
        pthread_mutex_unlock(&f->lock);
        enum err e = flush(f, &spans, &error);
        pthread_mutex_lock(&f->lock);
        f->busy = false;
        if (e) {
            f->failed = error;
            f->failed.code = e;
        }
        pthread_cond_broadcast(&f->changed);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

enum err flusher_new(int data_fd, struct journal *journal, struct flusher **ret,
                     struct error *error)
{
    struct flusher *f = calloc(1, sizeof *f);
    if (!f)
        return fail_nomem(error);
    f->data_fd = data_fd;
    f->journal = journal;
    if ((errno = pthread_mutex_init(&f->lock, NULL)) != 0)
        goto fail_lock;
    if ((errno = pthread_cond_init(&f->changed, NULL)) != 0)
        goto fail_changed;
    if ((errno = pthread_create(&f->thread, NULL, run, f)) != 0)
        goto fail_thread;
    *ret = f;
    return OK;

fail_thread:
    pthread_cond_destroy(&f->changed);
fail_changed:
    pthread_mutex_destroy(&f->lock);
fail_lock:
    free(f);
    return fail_sys(error, "cannot start a thread");
}

void flusher_free(struct flusher *f)
{
    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    f->quit = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    pthread_join(f->thread, NULL);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

/* With the lock. */
static enum err verdict(const struct flusher *f, struct error *error)
{
    return f->failed.code ? fail(error, f->failed.code, "%s", f->failed.message) : OK;
}

enum err flusher_want(struct flusher *f, const struct spans *written, struct error *error)
{
    pthread_mutex_lock(&f->lock);
    f->wanted = *written;
    f->wish = true;
    pthread_cond_broadcast(&f->changed);
    enum err e = verdict(f, error);
    pthread_mutex_unlock(&f->lock);
    return e;
}

enum err flusher_rest(struct flusher *f, struct error *error)
{
    pthread_mutex_lock(&f->lock);
    while (f->wish || f->busy)
        pthread_cond_wait(&f->changed, &f->lock);
    enum err e = verdict(f, error);
    pthread_mutex_unlock(&f->lock);
    return e;
}
