/*
 * probe.c - one child per question, its answer through a pipe.
 *
 * The pipe ends with the child, however that ends, so waiting for the pipe is
 * waiting for the child.
 */
#include "probe.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ggml-backend.h>
#include <ggml.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/clock.h"

/* --- in the child ---------------------------------------------------------- */

enum {
    INNER = 256, /* of both factors; a multiple of every block and tile */
    ROWS = 64,
    COLUMNS = 32,
};

/* Each of 256 rounding errors of the 8-bit columns is below 1/254; a wrong sum is
 * off by the size of a sum, which is 5. */
static const double tolerance = 0.5;

/* Numbers from -1 to 1, the same each time. */
static float noise(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) / (float)(1u << 23) - 1.0f;
}

struct factors {
    float weights[ROWS * INNER];
    float input[COLUMNS * INNER];
    uint8_t packed[ROWS * INNER * 2]; /* the weights as Q8_0: 34 bytes for 32 */
};

static void fill(struct factors *f)
{
    uint32_t state = 1;
    for (size_t i = 0; i < ARRAY_LEN(f->weights); i++)
        f->weights[i] = noise(&state);
    for (size_t i = 0; i < ARRAY_LEN(f->input); i++)
        f->input[i] = noise(&state);
    ggml_quantize_chunk(GGML_TYPE_Q8_0, f->weights, f->packed, 0, ROWS, INNER, NULL);
}

static bool right(const struct factors *f, const float *got, int columns)
{
    for (int c = 0; c < columns; c++)
        for (int r = 0; r < ROWS; r++) {
            double want = 0;
            for (int i = 0; i < INNER; i++)
                want += (double)f->weights[r * INNER + i] * (double)f->input[c * INNER + i];
            if (!(fabs((double)got[c * ROWS + r] - want) <= tolerance)) /* also false for NaN */
                return false;
        }
    return true;
}

/* Multiply with the weights in memory of type `kind`.  True also if the module does
 * not multiply Q8_0 there. */
static bool multiply(ggml_backend_t cpu, ggml_backend_buffer_type_t kind, const struct factors *f,
                     int columns)
{
    struct ggml_init_params params = { .mem_size = 1024 * 1024, .no_alloc = true };
    struct ggml_context *weights = ggml_init(params), *rest = ggml_init(params);
    if (!weights || !rest)
        return false;
    struct ggml_tensor *w = ggml_new_tensor_2d(weights, GGML_TYPE_Q8_0, INNER, ROWS);
    struct ggml_tensor *x = ggml_new_tensor_2d(rest, GGML_TYPE_F32, INNER, columns);
    struct ggml_tensor *product = ggml_mul_mat(rest, w, x);
    struct ggml_cgraph *graph = ggml_new_graph(rest);
    ggml_build_forward_expand(graph, product);

    if (!ggml_backend_alloc_ctx_tensors_from_buft(weights, kind) ||
        !ggml_backend_alloc_ctx_tensors(rest, cpu))
        return false;
    if (!ggml_backend_supports_op(cpu, product))
        return true;
    ggml_backend_tensor_set(w, f->packed, 0, ggml_nbytes(w));
    ggml_backend_tensor_set(x, f->input, 0, ggml_nbytes(x));
    if (ggml_backend_graph_compute(cpu, graph) != GGML_STATUS_SUCCESS)
        return false;

    static float got[ROWS * COLUMNS];
    ggml_backend_tensor_get(product, got, 0, ggml_nbytes(product));
    return right(f, got, columns);
}

static struct verdict answer_multiply(const char *path)
{
    struct verdict v = { .score = 0 };
    ggml_backend_reg_t reg = ggml_backend_load(path);
    ggml_backend_dev_t device = reg ? ggml_backend_reg_dev_get(reg, 0) : NULL;
    ggml_backend_t cpu = device ? ggml_backend_dev_init(device, NULL) : NULL;
    struct factors *f = calloc(1, sizeof *f);
    if (!cpu || !f) {
        snprintf(v.why, sizeof v.why, "could not be loaded");
        return v;
    }
    fill(f);

    ggml_backend_dev_get_extra_bufts_t get_extra =
        (ggml_backend_dev_get_extra_bufts_t)ggml_backend_reg_get_proc_address(
            reg, "ggml_backend_dev_get_extra_bufts");
    ggml_backend_buffer_type_t *extra = get_extra ? get_extra(device) : NULL;
    ggml_backend_buffer_type_t kind = ggml_backend_dev_buffer_type(device);
    v.works = true;
    do {
        v.works = multiply(cpu, kind, f, 1) && multiply(cpu, kind, f, COLUMNS);
        kind = extra ? *extra++ : NULL;
    } while (v.works && kind);
    if (!v.works)
        snprintf(v.why, sizeof v.why, "multiplied wrongly");
    return v;
}

static struct verdict answer_score(const char *path)
{
    struct verdict v = { .works = true };
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    int (*score)(void) = module ? (int (*)(void))dlsym(module, "ggml_backend_score") : NULL;
    if (score)
        v.score = score();
    else
        v.works = false;
    if (!score || v.score <= 0)
        snprintf(v.why, sizeof v.why, score ? "is for another CPU" : "could not be loaded");
    return v;
}

/* A child that dies is an answer: no core file, nothing on standard error. */
static void become_expendable(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){ .rlim_cur = 0 });
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0)
        dup2(null, STDERR_FILENO);
}

/* --- in the parent --------------------------------------------------------- */

/* Until the pipe has something to read, or its writer is gone; false if that takes
 * too long. */
static bool wait_for(int fd, const struct tending *tending)
{
    int64_t deadline = clock_ms() + PROBE_PATIENCE_MS;
    struct pollfd p = { .fd = fd, .events = POLLIN };
    for (;;) {
        int n = poll(&p, 1, PROBE_TEND_MS);
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
        if (clock_ms() >= deadline)
            return false;
        tending->tend(tending->context);
    }
}

static void explain_death(struct verdict *v, int status)
{
    v->works = false;
    const char *name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;
    if (name)
        snprintf(v->why, sizeof v->why, "was killed by SIG%s", name);
    else
        snprintf(v->why, sizeof v->why, "ended without an answer");
}

static struct verdict ask(struct verdict (*answer)(const char *path), const char *path,
                          const struct tending *tending)
{
    struct verdict v = { .works = false };
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        snprintf(v.why, sizeof v.why, "could not be asked: no pipe");
        return v;
    }
    pid_t child = fork();
    if (child == 0) {
        become_expendable();
        v = answer(path);
        ssize_t n = write(ends[1], &v, sizeof v);
        _exit(n == (ssize_t)sizeof v ? 0 : 1);
    }
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        snprintf(v.why, sizeof v.why, "could not be asked: no process");
        return v;
    }

    bool in_time = wait_for(ends[0], tending);
    bool answered = in_time && read(ends[0], &v, sizeof v) == (ssize_t)sizeof v;
    close(ends[0]);
    int status = 0;
    kill(child, SIGKILL); /* it may hang at its end, too */
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (!in_time)
        snprintf(v.why, sizeof v.why, "took longer than %d s", PROBE_PATIENCE_MS / 1000);
    else if (!answered)
        explain_death(&v, status);
    v.why[sizeof v.why - 1] = '\0';
    return v;
}

struct verdict probe_score(const char *path, const struct tending *tending)
{
    return ask(answer_score, path, tending);
}

struct verdict probe_multiply(const char *path, const struct tending *tending)
{
    return ask(answer_multiply, path, tending);
}
