/*
 * inferd-engine-llama - a GGUF model on llama.cpp, as a worker of the daemon.
 *
 * The order of things at the start matters.  Modules are tried in forked children, so
 * that comes before there are threads.  The variant to be used is announced before
 * anything of it runs here: should this process die of it, the daemon knows which one
 * to avoid.  Then the sandbox closes around the only thread there is, before anything
 * looks at the model but to hash it.  From the inbox on, orders are read by a thread, so
 * that pings are answered while the model loads.  Before `ready` the sandbox closes
 * further: what serves needs no more files.
 *
 * Exit status: 0 the daemon is gone, or said `drain` and all is done; 1 the model
 * can't be loaded, and the daemon was told why; otherwise see worker_leave().
 */
#include <dirent.h>
#include <ggml-backend.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "cpu.h"
#include "quiet.h"
#include "sandbox.h"
#include "scheduler.h"

enum { KEPT_APART = 128 * 1024 }; /* bytes; glibc's own first choice */

/* An order that came too early, ended.  True if it was `drain`. */
static bool turn_away(struct worker *w, struct order *order)
{
    bool drain = order->kind == ORDER_DRAIN;
    if (order->kind == ORDER_GENERATE)
        worker_refuse(w, order->serial, ERR_BACKEND_UNAVAILABLE, "the model is not loaded yet");
    order_done(order);
    return drain;
}

static enum err await_load(struct worker *w, struct order *ret, struct error *error)
{
    for (;;) {
        enum err e = worker_next(w, -1, ret, error);
        if (e || ret->kind == ORDER_LOAD)
            return e;
        if (turn_away(w, ret))
            return fail(error, ERR_CLOSED, "nothing was to be done");
        e = worker_flush(w, error);
        if (e)
            return e;
    }
}

/* While a module is tried, answer pings, and leave when nobody is there to send any. */
static void answer_pings(void *worker)
{
    struct order order;
    struct error error;
    enum err e;
    while ((e = worker_next(worker, 0, &order, &error)) == OK)
        if (turn_away(worker, &order))
            exit(0);
    if (e == ERR_AGAIN)
        e = worker_flush(worker, &error);
    if (e)
        exit(worker_leave(e, &error));
    worker_progress(worker);
}

/* Modules of other devices than the CPU.  RPC is none: it is a network client. */
static bool is_device_module(const char *name)
{
    size_t n = strlen(name);
    return n > 3 && strncmp(name, "libggml-", 8) == 0 && strcmp(name + n - 3, ".so") == 0 &&
           strncmp(name, "libggml-cpu", 11) != 0 && strcmp(name, "libggml-base.so") != 0 &&
           strcmp(name, "libggml-rpc.so") != 0;
}

static void load_device_modules(const char *directory)
{
    DIR *d = opendir(directory);
    struct dirent *entry;
    while (d && (entry = readdir(d))) {
        char path[PATH_MAX];
        if (is_device_module(entry->d_name) &&
            snprintf(path, sizeof path, "%s/%s", directory, entry->d_name) < (int)sizeof path &&
            !ggml_backend_load(path))
            log_warn("'%s' can't be used", path);
    }
    if (d)
        closedir(d);
}

static enum err load_modules(struct worker *w, const struct load *load,
                             struct model_options *options, struct cpu_choice *ret_cpu,
                             struct error *error)
{
    char bin[PATH_MAX - 64], modules[PATH_MAX];
    enum err e = program_directory(bin, sizeof bin, error);
    if (e)
        return e;
    snprintf(modules, sizeof modules, "%s/../lib/inferd", bin);
    struct tending tending = { .tend = answer_pings, .context = w };
    e = cpu_choose(modules, load, &tending, ret_cpu, error);
    if (e)
        return e;

    model_tell_phase(w, PHASE_MMAP, load, 0, ret_cpu->variant);
    e = worker_flush(w, error);
    if (e)
        return e;
    if (!ggml_backend_load(ret_cpu->path))
        return fail(error, ERR_CONFIG, "CPU module '%s' can't be loaded", ret_cpu->path);
    if (options->n_gpu_layers != 0)
        load_device_modules(modules);
    return rpc_prepare(&options->loading.rpc, modules, error);
}

static bool has_gpu(void)
{
    return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_GPU) ||
           ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_IGPU);
}

static enum err lock_in(const struct model_options *options, struct sandbox *ret,
                        struct error *error)
{
    struct sandbox_kernel kernel = sandbox_probe();
    struct sandbox_plan plan = {
        .mode = options->loading.sandbox,
        .gpu = options->n_gpu_layers != 0 && has_gpu(),
        .ports = options->loading.rpc.ports,
        .n_ports = options->loading.rpc.n,
    };
    return sandbox_enter(ret, &plan, &kernel, error);
}

static enum err load_all(struct worker *w, const struct load *load, struct inbox **ret_inbox,
                         struct sandbox *ret_sandbox, struct model *ret, struct error *error)
{
    struct cpu_choice cpu;
    struct model_options options;
    worker_busy(w, true);
    enum err e = model_options_read(load->options, &options, error);
    if (!e)
        e = load_modules(w, load, &options, &cpu, error);
    if (!e)
        e = lock_in(&options, ret_sandbox, error);
    if (!e)
        e = rpc_connect(&options.loading.rpc, error);
    if (!e)
        e = inbox_start(w, ret_inbox, error);
    if (!e)
        e = model_load(w, load, &options, cpu.variant, ret, error);
    return e;
}

/* The daemon hears why before this process ends. */
static int report_failure(struct worker *w, enum err e, const struct error *why)
{
    struct error error;
    if (e == ERR_CLOSED)
        return 0;
    worker_refuse(w, 0, e, "%s", why->message);
    return worker_flush(w, &error) == OK ? 1 : worker_leave(ERR_CLOSED, &error);
}

static enum err serve(struct worker *w, struct inbox *inbox, const struct model *model,
                      struct sandbox *sandbox, struct error *error)
{
    struct intake *intake;
    struct event ready = { .kind = EVENT_READY, .capabilities = model->capabilities };
    sandbox_describe(sandbox, ready.capabilities.sandbox, sizeof ready.capabilities.sandbox);
    enum err e = intake_start(w, inbox, model, &intake, error);
    if (!e)
        e = sandbox_tighten(sandbox, error);
    if (e)
        return e;
    worker_tell(w, &ready);
    e = worker_flush(w, error);
    return e ? e : scheduler_run(w, intake, model, error);
}

int main(void)
{
    struct worker *w = NULL;
    struct order order;
    struct inbox *inbox;
    struct sandbox sandbox;
    struct model model;
    struct error error = { 0 };

    quiet_init();
    /* Beginnings that are kept come and go by the gigabyte, each of another size.  Mapped one by
     * one they leave no holes, as long as malloc() does not learn from the first to go. */
    mallopt(M_MMAP_THRESHOLD, KEPT_APART);
    enum err e = worker_open("inferd-engine-llama", &w, &error);
    if (!e)
        e = await_load(w, &order, &error);
    if (e) {
        worker_free(w);
        return worker_leave(e, &error);
    }
    e = load_all(w, &order.load, &inbox, &sandbox, &model, &error);
    if (e)
        _exit(report_failure(w, e, &error)); /* exit() would tear down what threads still use */
    order_done(&order);
    e = serve(w, inbox, &model, &sandbox, &error);
    _exit(e ? worker_leave(e, &error) : 0);
}
