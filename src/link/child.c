/*
 * child.c - the two ends of an engine run: SIGCHLD and the socket's EOF.
 *
 * Either can be seen first.  The process' exit decides: what is still in the socket
 * is read then, because a child that answered and died at once did answer.  A socket
 * that ends while the process lives means that the child closed descriptor 3; it is
 * of no use any more and is killed.
 *
 * The child is freed when both handles, the process and the stream, are closed.
 */
#include "link/child.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "link/environment.h"

enum {
    READS_PER_TURN = 8, /* of 64 KiB each, so that a babbling engine can't hold the loop */
    N_STDIO = 5,        /* nothing, nothing, stderr, protocol, model */
};

struct child {
    uv_process_t process;
    struct stream stream;
    struct frame_reader in;
    const struct child_ops *ops;
    void *owner; /* NULL: an orphan */
    struct child_end end;
    int64_t took_at;
    int open_handles;
};

/* What the child's libraries are told; nothing of ours is passed on. */
static const char *const settings[] = {
    /* ggml would start a debugger on itself when it aborts. */
    "GGML_NO_BACKTRACE=1",
    /* Its threads would wait for each other by turning, for milliseconds; where others
     * compute too, that is most of the time. */
    "GOMP_SPINCOUNT=1000",
    NULL,
};
static const char *const passed_on[] = { NULL };

/* --- reading --------------------------------------------------------------- */

static void break_off(struct child *c, const struct error *why)
{
    if (c->end.protocol.code == OK)
        c->end.protocol = *why;
    stream_want_read(&c->stream, false);
    child_kill(c);
}

/* Hand out the whole frames that are there. */
static enum err deliver(struct child *c, struct error *error)
{
    struct frame frame;
    enum err e;
    while ((e = frame_reader_next(&c->in, &frame, error)) == OK) {
        if (!c->owner)
            continue;
        e = c->ops->frame(c->owner, &frame, error);
        if (e)
            return e;
    }
    return e == ERR_AGAIN ? OK : e;
}

/* Read once and deliver; `*ret_more` if there may be more.  ERR_AGAIN: nothing there;
 * ERR_CLOSED: the end. */
static enum err read_some(struct child *c, bool *ret_more, struct error *error)
{
    char *at;
    size_t room;
    enum err e = frame_reader_room(&c->in, &at, &room);
    if (e)
        return fail_nomem(error);
    ssize_t n = recv(c->stream.fd, at, room, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? ERR_AGAIN : ERR_CLOSED;
    if (n == 0)
        return ERR_CLOSED;
    frame_reader_filled(&c->in, (size_t)n);
    *ret_more = (size_t)n == room;
    return deliver(c, error);
}

static void on_readable(struct stream *s)
{
    struct child *c = CONTAINER_OF(s, struct child, stream);
    struct error error = { 0 };
    enum err e = OK;
    bool more = true;
    for (int i = 0; e == OK && more && i < READS_PER_TURN; i++)
        e = read_some(c, &more, &error);
    if (e == ERR_CLOSED) {
        stream_want_read(s, false);
        child_kill(c);
    } else if (e && e != ERR_AGAIN) {
        break_off(c, &error);
    }
}

static void on_gone(struct stream *s)
{
    child_kill(CONTAINER_OF(s, struct child, stream));
}

static void on_flushed(struct stream *s)
{
    CONTAINER_OF(s, struct child, stream)->took_at = clock_ms();
}

static const struct stream_ops stream_ops = { on_readable, on_flushed, on_gone };

/* --- the end --------------------------------------------------------------- */

static void handle_closed(struct child *c)
{
    if (--c->open_handles > 0)
        return;
    frame_reader_done(&c->in);
    free(c);
}

static void stream_closed(struct stream *s)
{
    handle_closed(CONTAINER_OF(s, struct child, stream));
}

static void process_closed(uv_handle_t *handle)
{
    handle_closed(CONTAINER_OF((uv_process_t *)handle, struct child, process));
}

static void on_process_exit(uv_process_t *process, int64_t status, int signal)
{
    struct child *c = CONTAINER_OF(process, struct child, process);
    c->end.status = (int)status;
    c->end.signal = signal;

    struct error error = { 0 };
    enum err e = OK;
    bool more;
    while (c->end.protocol.code == OK && (e = read_some(c, &more, &error)) == OK)
        ;
    if (e && e != ERR_AGAIN && e != ERR_CLOSED)
        c->end.protocol = error;

    void *owner = TAKE(c->owner);
    stream_close(&c->stream, stream_closed);
    uv_close((uv_handle_t *)&c->process, process_closed);
    if (owner)
        c->ops->ended(owner, &c->end);
}

/* --- the beginning --------------------------------------------------------- */

static int spawn(struct child *c, const char *program, int socket, int model_fd)
{
    struct environment env;
    environment_make(&env, settings, passed_on);
    char *args[] = { (char *)program, NULL };
    uv_stdio_container_t stdio[N_STDIO] = {
        [0] = { .flags = UV_IGNORE },
        [1] = { .flags = UV_IGNORE },
        /* What an engine prints may hold prompts; what it has to say, it tells. */
        [2] = { .flags = UV_IGNORE },
        [3] = { .flags = UV_INHERIT_FD, .data.fd = socket },
        [4] = { .flags = UV_INHERIT_FD, .data.fd = model_fd },
    };
    uv_process_options_t options = {
        .exit_cb = on_process_exit,
        .file = program,
        .args = args,
        .env = env.list,
        .cwd = "/",
        .stdio = stdio,
        .stdio_count = model_fd >= 0 ? N_STDIO : N_STDIO - 1,
    };
    return uv_spawn(c->stream.io->loop, &c->process, &options);
}

enum err fail_start(struct error *error, int number, const char *what, const char *path)
{
    static const int shortages[] = { EMFILE, ENFILE, EAGAIN, ENOMEM, ENOBUFS };
    enum err code = ERR_SYSTEM;
    for (size_t i = 0; i < ARRAY_LEN(shortages); i++)
        if (number == shortages[i])
            code = ERR_EXHAUSTED;
    return fail(error, code, "%s '%s': %s", what, path, strerror(number));
}

enum err child_start(struct io *io, const char *program, int model_fd, size_t max_payload,
                     const struct child_ops *ops, void *owner, struct child **ret,
                     struct error *error)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return fail_start(error, errno, "cannot make a socket for", program);
    CLEANUP(close_fd) int ours = pair[0];
    CLEANUP(close_fd) int theirs = pair[1];

    struct child *c = calloc(1, sizeof *c);
    if (!c)
        return fail_nomem(error);
    c->ops = ops;
    c->owner = owner;
    frame_reader_init(&c->in, max_payload);

    enum err e = stream_open(io, &c->stream, TAKE_FD(ours), &stream_ops, error);
    if (e) {
        free(c);
        return e;
    }
    int failed = spawn(c, program, theirs, model_fd);
    if (failed) {
        c->open_handles = 2; /* uv_spawn() leaves its handle to be closed, too */
        stream_close(&c->stream, stream_closed);
        uv_close((uv_handle_t *)&c->process, process_closed);
        return fail_start(error, -failed, "cannot start", program);
    }
    c->open_handles = 2;
    stream_want_read(&c->stream, true);
    *ret = c;
    return OK;
}

/* uv_spawn() has no place for it before the program starts; but nothing that this program
 * could be made to do comes before our first frame. */
enum err child_limit_memory(struct child *c, uint64_t bytes, struct error *error)
{
    const struct rlimit limit = { bytes, bytes };
    if (prlimit(child_pid(c), RLIMIT_DATA, &limit, NULL) < 0)
        return fail_sys(error, "cannot limit the memory of process %d", child_pid(c));
    return OK;
}

enum err child_send(struct child *c, const struct buf *frames)
{
    return stream_write(&c->stream, frames->at, frames->len);
}

enum err child_send_owned(struct child *c, char *frames, size_t len)
{
    return stream_write_owned(&c->stream, frames, len);
}

void child_kill(struct child *c)
{
    uv_process_kill(&c->process, SIGKILL); /* fails only when it is dead already */
}

void child_orphan(struct child *c)
{
    c->owner = NULL;
    child_kill(c);
}

int64_t child_took_at(const struct child *c)
{
    return c->took_at;
}

int child_pid(const struct child *c)
{
    return uv_process_get_pid(&c->process);
}
