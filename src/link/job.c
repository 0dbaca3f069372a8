/*
 * job.c - see job.h.
 *
 * The standard output of the process is a socket, because that is what streams are made
 * of.  Its exit decides, as in child.c: what is still in the socket is read then.
 */
#include "link/job.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "link/child.h"
#include "link/environment.h"

enum { LINE_MAX_BYTES = 64 * 1024 };

struct job {
    uv_process_t process;
    struct stream stream;
    struct buf in;
    const struct job_ops *ops;
    void *owner; /* NULL: an orphan */
    int open_handles;
};

static void deliver(struct job *j)
{
    char *newline;
    size_t done = 0;
    while ((newline = memchr(j->in.at + done, '\n', j->in.len - done))) {
        *newline = '\0';
        char *line = j->in.at + done;
        done = (size_t)(newline - j->in.at) + 1;
        if (j->owner)
            j->ops->line(j->owner, line, (size_t)(newline - line));
    }
    buf_consume(&j->in, done);
}

/* Read once; false when there is nothing more for now, or at all. */
static bool read_some(struct job *j)
{
    char bytes[4096];
    ssize_t n = recv(j->stream.fd, bytes, sizeof bytes, 0);
    if (n < 0 && errno == EINTR)
        return true;
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            stream_want_read(&j->stream, false);
        return false;
    }
    if (buf_append(&j->in, bytes, (size_t)n)) {
        /* A line that long is none of ours. */
        uv_process_kill(&j->process, SIGKILL);
        return false;
    }
    if (j->in.len)
        deliver(j);
    return true;
}

static void on_readable(struct stream *s)
{
    read_some(CONTAINER_OF(s, struct job, stream));
}

static void on_nothing(struct stream *s)
{
    (void)s; /* nothing is ever written, and the exit tells the end */
}

static const struct stream_ops stream_ops = { on_readable, on_nothing, on_nothing };

static void handle_closed(struct job *j)
{
    if (--j->open_handles > 0)
        return;
    buf_done(&j->in);
    free(j);
}

static void stream_closed(struct stream *s)
{
    handle_closed(CONTAINER_OF(s, struct job, stream));
}

static void process_closed(uv_handle_t *handle)
{
    handle_closed(CONTAINER_OF((uv_process_t *)handle, struct job, process));
}

static void on_process_exit(uv_process_t *process, int64_t status, int signal)
{
    struct job *j = CONTAINER_OF(process, struct job, process);
    while (read_some(j))
        ;
    void *owner = TAKE(j->owner);
    stream_close(&j->stream, stream_closed);
    uv_close((uv_handle_t *)&j->process, process_closed);
    if (owner)
        j->ops->ended(owner, signal, (int)status);
}

static int spawn(struct job *j, char **argv, const char *const *passed_on, int output)
{
    static const char *const nothing[] = { NULL };
    struct environment env;
    environment_make(&env, nothing, passed_on);
    uv_stdio_container_t stdio[] = {
        { .flags = UV_IGNORE },
        { .flags = UV_INHERIT_FD, .data.fd = output },
        { .flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO },
    };
    uv_process_options_t options = {
        .exit_cb = on_process_exit,
        .file = argv[0],
        .args = argv,
        .env = env.list,
        .cwd = "/",
        .stdio = stdio,
        .stdio_count = ARRAY_LEN(stdio),
    };
    return uv_spawn(j->stream.io->loop, &j->process, &options);
}

enum err job_start(struct io *io, char **argv, const char *const *passed_on,
                   const struct job_ops *ops, void *owner, struct job **ret, struct error *error)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return fail_start(error, errno, "cannot make a socket for", argv[0]);
    CLEANUP(close_fd) int ours = pair[0];
    CLEANUP(close_fd) int theirs = pair[1];

    struct job *j = calloc(1, sizeof *j);
    if (!j)
        return fail_nomem(error);
    j->ops = ops;
    j->owner = owner;
    buf_init(&j->in, LINE_MAX_BYTES);
    enum err e = stream_open(io, &j->stream, TAKE_FD(ours), &stream_ops, error);
    if (e) {
        free(j);
        return e;
    }
    j->open_handles = 2; /* a failed uv_spawn() leaves its handle to be closed, too */
    int failed = spawn(j, argv, passed_on, theirs);
    if (failed) {
        stream_close(&j->stream, stream_closed);
        uv_close((uv_handle_t *)&j->process, process_closed);
        return fail_start(error, -failed, "cannot start", argv[0]);
    }
    stream_want_read(&j->stream, true);
    *ret = j;
    return OK;
}

void job_orphan(struct job *j)
{
    j->owner = NULL;
    uv_process_kill(&j->process, SIGKILL);
}

int job_pid(const struct job *j)
{
    return uv_process_get_pid(&j->process);
}
