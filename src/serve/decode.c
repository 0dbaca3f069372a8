/*
 * decode.c - see decode.h.
 */
#include "serve/decode.h"

#include "proto/engine.h"

static enum err encode_order(const struct decoding *how, struct decoded *d)
{
    struct buf order;
    size_t said;
    buf_init(&order, 2 * (size_t)ENGINE_FRAME_MAX);
    if (order_put_generate(&order, how->serial, &d->ask.generate, &said) ||
        poison_fingerprint(how->poison, order.at + said, order.len - said, &d->print)) {
        buf_done(&order);
        return fail_nomem(&d->error);
    }
    d->order = buf_steal(&order, &d->order_len);
    return OK;
}

void decode_line(const struct decoding *how, const char *line, size_t len, struct decoded *ret)
{
    *ret = (struct decoded){ .serial = how->serial };
    ask_init(&ret->ask);
    ret->e = how->surface->decode(line, len, &ret->ask, &ret->error);
    ret->ask.generate.asker = how->asker;
    if (!ret->e)
        ret->e = encode_order(how, ret);
    ret->needs = generate_needs(&ret->ask.generate);
    generate_done(&ret->ask.generate);
}

void decoded_done(struct decoded *d)
{
    ask_done(&d->ask);
    free(d->order);
    d->order = NULL;
}

/* --- on the pool ------------------------------------------------------------ */

struct decode_job {
    uv_work_t work;
    void (*done)(void *owner, struct decoded *decoded);
    void *owner; /* NULL: gone */
    struct decoding how;
    char *line;
    size_t len;
    struct decoded decoded;
};

static void work(uv_work_t *request)
{
    struct decode_job *job = CONTAINER_OF(request, struct decode_job, work);
    decode_line(&job->how, job->line, job->len, &job->decoded);
    free(TAKE(job->line));
}

static void worked(uv_work_t *request, int status UNUSED)
{
    struct decode_job *job = CONTAINER_OF(request, struct decode_job, work);
    if (job->owner)
        job->done(job->owner, &job->decoded);
    decoded_done(&job->decoded);
    free(job->line); /* of one that was cancelled in time */
    free(job);
}

enum err decode_start(uv_loop_t *loop, const struct decoding *how, char *line, size_t len,
                      void (*done)(void *owner, struct decoded *decoded), void *owner,
                      struct decode_job **ret)
{
    struct decode_job *job = calloc(1, sizeof *job);
    if (!job) {
        free(line);
        return ERR_NO_MEMORY;
    }
    job->done = done;
    job->owner = owner;
    job->how = *how;
    job->line = line;
    job->len = len;
    uv_queue_work(loop, &job->work, work, worked);
    *ret = job;
    return OK;
}

void decode_orphan(struct decode_job *job)
{
    job->owner = NULL;
    uv_cancel((uv_req_t *)&job->work); /* unless it is under way already */
}
