/*
 * fetcher.c - see fetcher.h.
 *
 * The child's events come through one pipe, what it writes to standard error through another.
 * All that it says there it also tells as an event, so the second is only shown when it
 * ended without its last event: then it is all that there is.
 */
#include "fetcher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "bar.h"
#include "base/clock.h"
#include "base/file.h"
#include "command.h"
#include "interrupt.h"
#include "words.h"

enum {
    EVENT_MAX = 256 * 1024,
    LAST_WORDS_MAX = 16 * 1024,
    PLAIN_PERCENT = 10,
    PLAIN_BYTES = 256 * 1024 * 1024, /* where the whole is not known */
    PLAIN_MS = 30 * 1000,
};

struct fetch {
    const char *name;
    uint64_t size; /* that was pinned; 0: none */
    bool json;
    struct output *out;
    struct bar bar;
    uint64_t told_bytes; /* by the last plain line */
    int64_t told_ms;
    bool resumption_told;
    char quarantined[STORE_PATH_MAX]; /* where wrong bytes went; "" if there were none */
    bool done;                        /* the event came */
    char *path;                       /* STORE_PATH_MAX bytes */
    struct error failure;             /* the event's sentence; "" if none came */
    struct buf events;                /* half a line */
    struct buf last_words;
};

/* --- the program ------------------------------------------------------------ */

bool fetcher_find(char ret_program[static STORE_PATH_MAX])
{
    static const char *const places[] = { "inferd-fetch", "../libexec/inferd/inferd-fetch" };
    char here[STORE_PATH_MAX];
    if (program_directory(here, sizeof here, NULL))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        int n = snprintf(ret_program, STORE_PATH_MAX, "%s/%s", here, places[i]);
        if (n < STORE_PATH_MAX && access(ret_program, X_OK) == 0)
            return true;
    }
    return false;
}

int fetcher_airgapped(const char *name)
{
    return error_with(
        TROUBLE,
        "fetch failed: model \"%s\" is not in the model store and this is an airgapped "
        "build (no model-fetch feature); import it with `inferdctl import --name %s "
        "<path.gguf>`",
        name, name);
}

/* --- what it tells ---------------------------------------------------------- */

/* A line for people, above the bar. */
static void say(struct fetch *f, const char *fmt, ...) PRINTF(2, 3);
static void say(struct fetch *f, const char *fmt, ...)
{
    if (f->json)
        return;
    char text[2 * STORE_PATH_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    bar_hide(&f->bar);
    complain("%s", text);
}

static const char *text_of(const json_t *event, const char *key)
{
    const char *text = json_string_value(json_object_get(event, key));
    return text ? text : "";
}

static uint64_t number_of(const json_t *event, const char *key)
{
    uint64_t n = 0;
    return json_get_u64(event, key, &n, NULL) ? 0 : n;
}

static struct bar_state state_of(const struct fetch *f, const json_t *event)
{
    uint64_t total = number_of(event, "total_bytes");
    const json_t *eta = json_object_get(event, "eta_seconds");
    return (struct bar_state){
        .done = number_of(event, "downloaded_bytes"),
        .total = total ? total : f->size,
        .rate = json_number_value(json_object_get(event, "rate_bytes_per_second")),
        .eta_s = json_is_integer(eta) ? json_integer_value(eta) : -1,
    };
}

/* A download of hours is some lines, not thousands. */
static bool plain_line_is_due(const struct fetch *f, const struct bar_state *s)
{
    uint64_t step = s->total ? s->total / 100 * PLAIN_PERCENT : PLAIN_BYTES;
    return f->told_ms == 0 || s->done < f->told_bytes || s->done - f->told_bytes >= step ||
           (s->total && s->done == s->total && f->told_bytes != s->total) ||
           clock_ms() - f->told_ms >= PLAIN_MS;
}

static void say_plainly(struct fetch *f, const struct bar_state *s)
{
    bool nothing = s->done == 0 && s->total == 0;
    if (f->json || f->bar.live || nothing || !plain_line_is_due(f, s))
        return;
    char of[40] = "", rate[40] = "", eta[40] = "";
    if (s->total)
        snprintf(of, sizeof of, " of %s", words_bytes(s->total).text);
    if (s->rate >= 1)
        snprintf(rate, sizeof rate, ", %s/s", words_bytes((uint64_t)s->rate).text);
    if (s->eta_s > 0)
        snprintf(eta, sizeof eta, ", ETA %s", words_seconds((uint64_t)s->eta_s).text);
    say(f, "%s: %s%s%s%s", f->name, words_bytes(s->done).text, of, rate, eta);
    f->told_bytes = s->done;
    f->told_ms = clock_ms();
}

static void on_download(struct fetch *f, const json_t *event)
{
    const char *because = text_of(event, "restarted_because");
    const char *waiting = text_of(event, "waiting_for");
    uint64_t resumed = number_of(event, "resumed_bytes");
    if (because[0])
        say(f, "starting over: %s", because);
    if (waiting[0])
        say(f, "%s; trying again in %.0f s (attempt %llu of %llu)", waiting,
            json_number_value(json_object_get(event, "retry_in_seconds")),
            (unsigned long long)number_of(event, "attempt"),
            (unsigned long long)number_of(event, "attempts"));
    if (resumed && !f->resumption_told)
        say(f, "going on where an earlier download ended: %s are there", words_bytes(resumed).text);
    f->resumption_told = f->resumption_told || resumed;

    struct bar_state s = state_of(f, event);
    bar_draw(&f->bar, &s);
    say_plainly(f, &s);
}

static void on_check(struct fetch *f, const json_t *event)
{
    if (text_of(event, "waiting_for")[0])
        say(f, "%s; waiting", text_of(event, "waiting_for"));
    if (text_of(event, "adopted")[0])
        say(f, "took '%s' in (%s): %s need not be downloaded", text_of(event, "path"),
            text_of(event, "adopted"), words_bytes(number_of(event, "saved_bytes")).text);
}

static void on_phase(struct fetch *f, const json_t *event, const char *phase)
{
    if (strcmp(phase, "checking_local") == 0)
        on_check(f, event);
    else if (strcmp(phase, "download") == 0)
        on_download(f, event);
    else if (strcmp(phase, "verify") == 0)
        bar_draw(&f->bar, &(struct bar_state){ .doing = "verifying" });
    else if (strcmp(phase, "quarantine") == 0)
        snprintf(f->quarantined, sizeof f->quarantined, "%s", text_of(event, "quarantine_path"));
}

static void on_event(struct fetch *f, const char *line, size_t len)
{
    CLEANUP(json_drop) json_t *event = NULL;
    if (f->json)
        output_line(f->out, line, len);
    if (json_read(line, len, &event, NULL))
        return;
    const char *type = text_of(event, "type");
    if (strcmp(type, "status") == 0) {
        on_phase(f, event, text_of(event, "phase"));
    } else if (strcmp(type, "done") == 0) {
        snprintf(f->path, STORE_PATH_MAX, "%s", text_of(event, "path"));
        f->done = true;
    } else if (strcmp(type, "error") == 0) {
        (void)fail(&f->failure, ERR_INTERNAL, "%s", text_of(event, "message"));
    }
}

/* --- its pipes -------------------------------------------------------------- */

static void on_bytes(struct fetch *f, const char *bytes, size_t n)
{
    if (f->events.len + n > EVENT_MAX)
        buf_clear(&f->events); /* no event of ours is so long */
    if (buf_append(&f->events, bytes, n))
        return;
    const char *newline;
    while (f->events.len > 0 && (newline = memchr(f->events.at, '\n', f->events.len))) {
        size_t len = (size_t)(newline - f->events.at);
        on_event(f, f->events.at, len);
        buf_consume(&f->events, len + 1);
    }
}

static void on_last_words(struct fetch *f, const char *bytes, size_t n)
{
    if (f->last_words.len + n > LAST_WORDS_MAX)
        buf_clear(&f->last_words); /* the newest say the most */
    if (buf_append(&f->last_words, bytes, n))
        return; /* they are not shown then */
}

/* False at its end. */
static bool read_pipe(struct fetch *f, int fd,
                      void (*on)(struct fetch *f, const char *bytes, size_t n))
{
    char bytes[8192];
    ssize_t n = read(fd, bytes, sizeof bytes);
    if (n < 0)
        return errno == EINTR;
    if (n > 0)
        on(f, bytes, (size_t)n);
    return n > 0;
}

/* Until both are closed, which is when the child has ended. */
static void listen_to(struct fetch *f, pid_t child, int events, int words)
{
    struct pollfd fds[] = { { events, POLLIN, 0 }, { words, POLLIN, 0 } };
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        if (poll(fds, ARRAY_LEN(fds), -1) < 0)
            continue; /* a signal; the child has it, too */
        if (fds[0].revents && !read_pipe(f, events, on_bytes))
            fds[0].fd = -1;
        if (fds[1].revents && !read_pipe(f, words, on_last_words))
            fds[1].fd = -1;
        if (f->out->broken)
            kill(child, SIGTERM); /* nobody wants to know */
    }
}

/* --- its life --------------------------------------------------------------- */

enum { ARGV_MAX = 16 + FETCH_MORE_MAX };

static void fill_argv(const char *argv[static ARGV_MAX], const char *program, const char *root,
                      const struct fetch_order *o)
{
    const char *const pairs[][2] = {
        { "--store", root }, { "--name", o->name }, { "--sha256", o->sha256 },
        { "--url", o->url }, { "--size", o->size }, { "--license", o->license },
    };
    size_t n = 0;
    argv[n++] = program;
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        if (!pairs[i][1])
            continue;
        argv[n++] = pairs[i][0];
        argv[n++] = pairs[i][1];
    }
    for (size_t i = 0; i < o->n_more; i++)
        argv[n++] = o->more[i];
    argv[n] = NULL;
}

/* In the child, with SIGINT and SIGTERM held back.  It ends with us, and by the same
 * signals that we do. */
static void become(const char *const *argv, const sigset_t *mask, int out, int err, pid_t parent)
{
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    if (dup2(out, STDOUT_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0 &&
        prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent &&
        sigprocmask(SIG_SETMASK, mask, NULL) == 0)
        execv(argv[0], (char *const *)argv);
    dprintf(err, "cannot start '%s': %s\n", argv[0], strerror(errno));
    _exit(127);
}

/* The child, which signals are passed on to; -1 with errno. */
static pid_t start(const char *const *argv, int out, int err)
{
    sigset_t both, before;
    sigemptyset(&both);
    sigaddset(&both, SIGINT);
    sigaddset(&both, SIGTERM);
    sigprocmask(SIG_BLOCK, &both, &before); /* cannot fail */
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0)
        become(argv, &before, out, err, parent);
    int failure = errno;
    if (child > 0)
        interrupt_pass_on(child);
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = failure;
    return child;
}

/* Its wait status.  Nothing is passed on to a number that may be somebody else's already. */
static int wait_for(pid_t child)
{
    siginfo_t info;
    int status = 0;
    while (waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        continue;
    interrupt_pass_on(0);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

/* How it ended, in this program's words and code. */
static int conclude(struct fetch *f, int status)
{
    bar_hide(&f->bar);
    if (f->out->broken)
        return output_verdict(f->out, TROUBLE);
    if (f->done && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        if (f->quarantined[0])
            say(f, "wrong bytes lay in its place; they are in quarantine now: '%s'",
                f->quarantined);
        return DONE;
    }
    if (interrupt_code()) {
        say(f, "stopped; what has arrived is kept, and the same command goes on from there");
        return interrupt_code();
    }
    if (f->failure.message[0])
        return error_with(TROUBLE, "fetch failed: %s", f->failure.message);
    struct output err;
    output_init(&err, STDERR_FILENO);
    output_put(&err, f->last_words.len > 0 ? f->last_words.at : "", f->last_words.len);
    output_end_line(&err);
    if (WIFSIGNALED(status))
        return error_with(TROUBLE, "fetch failed: inferd-fetch was ended by signal %d (%s)",
                          WTERMSIG(status), strsignal(WTERMSIG(status)));
    return error_with(TROUBLE, "fetch failed: inferd-fetch ended with %d and did not say why",
                      WEXITSTATUS(status));
}

/* The ends of a pipe, neither inherited by accident. */
struct pipe_ends {
    int read;
    int write;
};

static void pipe_close(struct pipe_ends *p)
{
    close_fd(&p->read);
    close_fd(&p->write);
}

static bool pipe_open(struct pipe_ends *p)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return false;
    *p = (struct pipe_ends){ fds[0], fds[1] };
    return true;
}

static int run(struct fetch *f, const char *const *argv)
{
    CLEANUP(pipe_close) struct pipe_ends events = { -1, -1 };
    CLEANUP(pipe_close) struct pipe_ends words = { -1, -1 };
    pid_t child = -1;
    if (pipe_open(&events) && pipe_open(&words))
        child = start(argv, events.write, words.write);
    if (child < 0)
        return error_with(TROUBLE, "fetch failed: cannot start '%s': %s", argv[0], strerror(errno));
    close_fd(&events.write);
    close_fd(&words.write);
    listen_to(f, child, events.read, words.read);
    return conclude(f, wait_for(child));
}

int fetcher_run(struct storage *s, const char *program, const struct fetch_order *order,
                char *ret_path)
{
    struct fetch f = { .name = order->name,
                       .size = order->size ? strtoull(order->size, NULL, 10) : 0,
                       .json = s->json,
                       .out = &s->out,
                       .path = ret_path };
    const char *argv[ARGV_MAX];
    fill_argv(argv, program, s->store.root, order);
    bar_init(&f.bar, order->name, !s->json);
    buf_init(&f.events, EVENT_MAX);
    buf_init(&f.last_words, LAST_WORDS_MAX);
    int code = run(&f, argv);
    buf_done(&f.events);
    buf_done(&f.last_words);
    return code;
}
