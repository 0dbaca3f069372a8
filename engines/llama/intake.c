/*
 * intake.c - a thread with a large stack.
 *
 * Pre-tokenizers are regular expressions, and for some vocabularies the C++ library
 * matches them by recursion, once for each character of a run of letters: 320 bytes of
 * stack each, measured, and more where the expression is nested.  The parser of
 * grammars recurses, too.  So the stack is sized by the longest text that is ever
 * tokenised.  Pages that were used are given back after each request.
 *
 * An order that can't be taken in for lack of memory can't be answered either: then
 * the process ends, and the daemon answers.
 */
#include "intake.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

#include "base/log.h"
#include "quiet.h"

#define STACK_PER_BYTE    1024 /* of text */
#define STACK_BYTES_LEAST ((size_t)64 * 1024 * 1024)
#define STACK_BYTES_MOST  ((size_t)4 * 1024 * 1024 * 1024)
#define STACK_BYTES_KEPT  ((size_t)1024 * 1024)

struct intake {
    struct worker *worker;     /* borrowed */
    struct inbox *inbox;       /* borrowed */
    const struct model *model; /* borrowed */
    pthread_t thread;
    char *stack; /* the lowest byte; it grows down towards it */
    size_t stack_bytes;
    pthread_mutex_t lock;
    pthread_cond_t ready;
    struct job *first;
    struct job **last; /* where the next one is hooked in */
    bool working;      /* something is being prepared */
    _Atomic unsigned cancels;
};

void job_free(struct job *job)
{
    if (!job)
        return;
    free(job->prompt);
    sampler_free(job->sampler);
    reply_done(&job->reply);
    free(job);
}

/* --- the thread ------------------------------------------------------------ */

static void prepare(const struct model *model, const struct generate *g, struct job *job)
{
    job->max_tokens = g->max_tokens;
    job->asker = g->asker;
    enum err e = reply_init(&job->reply, g, &job->error);
    if (!e)
        e = sampler_new(model->vocab, g, &job->sampler, &job->error);
    struct hearsay unheard; /* it may quote the messages */
    quiet_listen(&unheard);
    if (!e)
        e = chat_prompt(model->chat, g->messages, g->n_messages, model->n_ctx, &job->prompt,
                        &job->n_prompt, &job->error);
    quiet_listen(NULL);
    job->error.code = e;
}

static void set_working(struct intake *in)
{
    pthread_mutex_lock(&in->lock);
    in->working = true;
    worker_busy(in->worker, true);
    pthread_mutex_unlock(&in->lock);
}

static void post(struct intake *in, struct job *job)
{
    pthread_mutex_lock(&in->lock);
    in->working = false;
    *in->last = job;
    in->last = &job->next;
    pthread_cond_signal(&in->ready);
    if (job->kind == ORDER_CANCEL)
        in->cancels++;
    pthread_mutex_unlock(&in->lock);
    worker_progress(in->worker);
}

static void take_in(struct intake *in, struct order *order)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job) {
        log_error("no memory for an order");
        _exit(1);
    }
    job->kind = order->kind;
    job->serial = order->serial;
    if (order->kind == ORDER_GENERATE) {
        set_working(in);
        prepare(in->model, &order->generate, job);
        /* What this frame does not use any more; failing costs memory only. */
        madvise(in->stack, in->stack_bytes - STACK_BYTES_KEPT, MADV_DONTNEED);
    }
    post(in, job);
}

static void *prepare_orders(void *arg)
{
    struct intake *in = arg;
    for (;;) {
        struct letter *letter = inbox_take(in->inbox, -1);
        while (letter) {
            struct letter *next = letter->next;
            take_in(in, &letter->order);
            order_done(&letter->order);
            free(letter);
            letter = next;
        }
    }
    return NULL;
}

/* --- the taker ------------------------------------------------------------- */

/* Address space only, with a page at its end that ends the process, not its data. */
static enum err make_stack(struct intake *in, struct error *error)
{
    size_t bytes = (size_t)in->model->n_ctx * CHAT_BYTES_PER_TOKEN * STACK_PER_BYTE;
    bytes = bytes < STACK_BYTES_LEAST ? STACK_BYTES_LEAST : bytes;
    bytes = bytes > STACK_BYTES_MOST ? STACK_BYTES_MOST : bytes;
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    void *at = mmap(NULL, guard + bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (at == MAP_FAILED || mprotect(at, guard, PROT_NONE) < 0)
        return fail_sys(error, "cannot set aside %zu MiB for a stack", bytes >> 20);
    in->stack = (char *)at + guard;
    in->stack_bytes = bytes;
    return OK;
}

static enum err start_thread(struct intake *in, struct error *error)
{
    pthread_attr_t attr;
    enum err e = make_stack(in, error);
    if (e)
        return e;
    if (pthread_attr_init(&attr) != 0)
        return fail_nomem(error);
    errno = pthread_attr_setstack(&attr, in->stack, in->stack_bytes);
    if (!errno)
        errno = pthread_create(&in->thread, &attr, prepare_orders, in);
    if (errno)
        e = fail_sys(error, "cannot start the thread that prepares prompts");
    pthread_attr_destroy(&attr);
    return e;
}

enum err intake_start(struct worker *w, struct inbox *inbox, const struct model *model,
                      struct intake **ret, struct error *error)
{
    struct intake *in = calloc(1, sizeof *in);
    if (!in)
        return fail_nomem(error);
    in->worker = w;
    in->inbox = inbox;
    in->model = model;
    in->last = &in->first;
    pthread_mutex_init(&in->lock, NULL); /* neither can fail without attributes */
    pthread_cond_init(&in->ready, NULL);
    enum err e = start_thread(in, error);
    if (e) {
        free(in); /* the stack goes with the process, which ends for this */
        return e;
    }
    *ret = in;
    return OK;
}

struct job *intake_take(struct intake *in, bool wait)
{
    pthread_mutex_lock(&in->lock);
    while (wait && !in->first) {
        worker_busy(in->worker, in->working);
        pthread_cond_wait(&in->ready, &in->lock);
    }
    struct job *chain = in->first;
    in->first = NULL;
    in->last = &in->first;
    pthread_mutex_unlock(&in->lock);
    return chain;
}

unsigned intake_cancel_count(struct intake *in)
{
    return in->cancels;
}

bool intake_cancels(struct intake *in, uint64_t serial)
{
    bool found = false;
    pthread_mutex_lock(&in->lock);
    for (const struct job *job = in->first; job && !found; job = job->next)
        found = job->kind == ORDER_CANCEL && job->serial == serial;
    pthread_mutex_unlock(&in->lock);
    return found;
}
