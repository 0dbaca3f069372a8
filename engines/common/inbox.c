/*
 * inbox.c - a mutex, a condition and a chain.
 *
 * take() detaches the whole chain at once, so that the taker handles letters without
 * the mutex.  `waiting` repeats whether there is a chain, for those who ask inside a
 * step and can't afford a lock; it changes under the mutex only.
 *
 * There is no way to end an inbox: it lives as long as the process does.
 */
#include "inbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

struct inbox {
    struct worker *worker; /* borrowed */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t arrived; /* on CLOCK_MONOTONIC */
    struct letter *first;
    struct letter **last; /* where the next one is hooked in */
    atomic_bool waiting;
};

/* --- the thread ------------------------------------------------------------ */

static void post(struct inbox *inbox, struct letter *letter)
{
    pthread_mutex_lock(&inbox->lock);
    *inbox->last = letter;
    inbox->last = &letter->next;
    atomic_store(&inbox->waiting, true);
    pthread_cond_signal(&inbox->arrived);
    pthread_mutex_unlock(&inbox->lock);
}

static void *read_orders(void *arg)
{
    struct inbox *inbox = arg;
    for (;;) {
        struct error error = { 0 };
        struct letter *letter = calloc(1, sizeof *letter);
        enum err e =
            letter ? worker_next(inbox->worker, -1, &letter->order, &error) : fail_nomem(&error);
        if (e)
            _exit(worker_leave(e, &error)); /* exit() would tear down what still computes */
        post(inbox, letter);
    }
}

/* --- the taker ------------------------------------------------------------- */

static enum err init_condition(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0)
        return ERR_NO_MEMORY;
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); /* cannot fail for this clock */
    int failed = pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
    return failed ? ERR_NO_MEMORY : OK;
}

enum err inbox_start(struct worker *w, struct inbox **ret, struct error *error)
{
    struct inbox *inbox = calloc(1, sizeof *inbox);
    if (!inbox)
        return fail_nomem(error);
    inbox->worker = w;
    inbox->last = &inbox->first;
    pthread_mutex_init(&inbox->lock, NULL); /* cannot fail without attributes */
    enum err e = init_condition(&inbox->arrived);
    if (e) {
        fail_nomem(error);
        goto fail_condition;
    }
    if ((errno = pthread_create(&inbox->thread, NULL, read_orders, inbox)) != 0) {
        e = fail_sys(error, "cannot start the thread that reads orders");
        goto fail_thread;
    }
    *ret = inbox;
    return OK;

fail_thread:
    pthread_cond_destroy(&inbox->arrived);
fail_condition:
    pthread_mutex_destroy(&inbox->lock);
    free(inbox);
    return e;
}

/* `ms` from now, on the condition's clock. */
static struct timespec from_now(int ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_nsec -= 1000000000;
        t.tv_sec++;
    }
    return t;
}

/* Until a letter is there or the time is over; the lock is held. */
static void await_letter(struct inbox *inbox, int timeout_ms)
{
    if (timeout_ms < 0) {
        while (!inbox->first)
            pthread_cond_wait(&inbox->arrived, &inbox->lock);
        return;
    }
    struct timespec deadline = from_now(timeout_ms);
    while (!inbox->first)
        if (pthread_cond_timedwait(&inbox->arrived, &inbox->lock, &deadline) == ETIMEDOUT)
            return;
}

struct letter *inbox_take(struct inbox *inbox, int timeout_ms)
{
    if (timeout_ms == 0 && !inbox_waiting(inbox))
        return NULL;
    pthread_mutex_lock(&inbox->lock);
    await_letter(inbox, timeout_ms);
    struct letter *chain = inbox->first;
    inbox->first = NULL;
    inbox->last = &inbox->first;
    atomic_store(&inbox->waiting, false);
    pthread_mutex_unlock(&inbox->lock);
    return chain;
}

bool inbox_waiting(struct inbox *inbox)
{
    return atomic_load_explicit(&inbox->waiting, memory_order_acquire);
}
