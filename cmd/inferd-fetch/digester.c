/*
 * digester.c - see digester.h.
 *
 * The thread owns the hash while `reading` is set; everything else is under the lock.
 */
#include "digester.h"

#include <errno.h>
#include <pthread.h>

enum { CHUNK = 256 * 1024 };

struct digester {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* any of those below */
    int fd;                 /* borrowed */
    struct hasher hash;
    char *chunk;    /* owned */
    uint64_t ready; /* bytes that may be read */
    bool reading;   /* the thread is at work without the lock */
    bool quit;
    struct error failed; /* code is OK while all is well */
};

/* Hash one chunk at hash.bytes, at most up to `end`. */
static enum err step(struct digester *d, uint64_t end, struct error *error)
{
    uint64_t at = d->hash.bytes;
    size_t n = end - at < CHUNK ? (size_t)(end - at) : CHUNK;
    ssize_t done;
    do
        done = pread(d->fd, d->chunk, n, (off_t)at);
    while (done < 0 && errno == EINTR);
    if (done < 0)
        return fail_sys(error, "cannot read what was downloaded");
    if (done == 0)
        return fail(error, ERR_SYSTEM, "the download was cut off at %llu bytes by somebody else",
                    (unsigned long long)at);
    return hasher_add(&d->hash, d->chunk, (size_t)done, error);
}

static void *run(void *arg)
{
    struct digester *d = arg;
    pthread_mutex_lock(&d->lock);
    while (!d->quit) {
        if (d->failed.code || d->hash.bytes >= d->ready) {
            pthread_cond_wait(&d->changed, &d->lock);
            continue;
        }
        struct error error = { .code = OK };
        uint64_t end = d->ready;
        d->reading = true;
        pthread_mutex_unlock(&d->lock);
        enum err e = step(d, end, &error);
        pthread_mutex_lock(&d->lock);
        d->reading = false;
        if (e) {
            d->failed = error;
            d->failed.code = e;
        }
        pthread_cond_broadcast(&d->changed);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

enum err digester_new(int fd, struct digester **ret, struct error *error)
{
    struct digester *d = calloc(1, sizeof *d);
    if (!d)
        return fail_nomem(error);
    d->fd = fd;
    d->chunk = malloc(CHUNK);
    enum err e = d->chunk ? hasher_init(&d->hash, error) : fail_nomem(error);
    if (e)
        goto fail_hash;
    e = ERR_SYSTEM;
    if ((errno = pthread_mutex_init(&d->lock, NULL)) != 0) {
        (void)fail_sys(error, "cannot make a lock");
        goto fail_hash;
    }
    if ((errno = pthread_cond_init(&d->changed, NULL)) != 0) {
        (void)fail_sys(error, "cannot make a condition");
        goto fail_lock;
    }
    if ((errno = pthread_create(&d->thread, NULL, run, d)) != 0) {
        (void)fail_sys(error, "cannot start a thread");
        goto fail_changed;
    }
    *ret = d;
    return OK;

fail_changed:
    pthread_cond_destroy(&d->changed);
fail_lock:
    pthread_mutex_destroy(&d->lock);
fail_hash:
    hasher_done(&d->hash);
    free(d->chunk);
    free(d);
    return e;
}

void digester_free(struct digester *d)
{
    if (!d)
        return;
    pthread_mutex_lock(&d->lock);
    d->quit = true;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->thread, NULL);
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    hasher_done(&d->hash);
    free(d->chunk);
    free(d);
}

void digester_advance(struct digester *d, uint64_t prefix)
{
    pthread_mutex_lock(&d->lock);
    if (prefix > d->ready) {
        d->ready = prefix;
        pthread_cond_broadcast(&d->changed);
    }
    pthread_mutex_unlock(&d->lock);
}

enum err digester_restart(struct digester *d, struct error *error)
{
    pthread_mutex_lock(&d->lock);
    d->ready = 0;
    while (d->reading)
        pthread_cond_wait(&d->changed, &d->lock);
    d->failed.code = OK;
    hasher_done(&d->hash);
    d->hash = (struct hasher){ 0 };
    enum err e = hasher_init(&d->hash, error);
    pthread_mutex_unlock(&d->lock);
    return e;
}

enum err digester_finish(struct digester *d, uint64_t size, struct digest *ret, struct error *error)
{
    digester_advance(d, size);
    pthread_mutex_lock(&d->lock);
    while (!d->failed.code && (d->reading || d->hash.bytes < size))
        pthread_cond_wait(&d->changed, &d->lock);
    enum err e = d->failed.code ? fail(error, d->failed.code, "%s", d->failed.message)
                                : hasher_end(&d->hash, ret, error);
    pthread_mutex_unlock(&d->lock);
    return e;
}
