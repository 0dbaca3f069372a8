/*
 * model.c - file, weights, context, warm-up.
 *
 * Each request gets a stream of the KV cache of its own: computing many at a time is
 * faster that way than on one shared cache, and no request can take another's room.
 * So the context is `n_ctx` times the number of slots.
 *
 * There is no model_free(): unloading a model is ending the process.
 */
#include "model.h"

#include <ggml-backend.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "estimate.h"
#include "modelfile.h"
#include "pages.h"
#include "quiet.h"

enum {
    N_CTX_DEFAULT = 8192,
    N_CTX_LOWEST = 64, /* a template alone may need as many */
    N_CTX_HIGHEST = 16 * 1024 * 1024,
    APART_MOST = 3,        /* slots that may be written for one after another */
    TIMED_MOST = 5,        /* passes of a kind, */
    TIMED_US = 100 * 1000, /* unless that takes too long */
    SHELF_MIB_DEFAULT = 512,
    SHELF_MIB_HIGHEST = 1024 * 1024,
    PACE_PERCENT_DEFAULT = 200,
    PACE_PERCENT_LOWEST = 110,
    PACE_PERCENT_HIGHEST = 10000,
    PROGRESS_EVERY_MS = 2000,
    WARM_UP_TOKENS = 32, /* as many as make every kernel take its wide path */
};

/* Of what n passes take: what one for n may take at most to be worth it. */
static const double pays = 0.9;

/* --- options --------------------------------------------------------------- */

/* Streams compute faster; a cache that is to be smaller than what all requests together
 * could need has to be unified. */
static enum err read_kv(const json_t *options, struct model_options *o, struct error *error)
{
    const char *kv = "auto";
    enum err e = json_get_u32(options, "kv_tokens", N_CTX_LOWEST, INT32_MAX, &o->kv_tokens, error);
    if (!e)
        e = json_get_string(options, "kv", &kv, error);
    if (e)
        return e;
    o->unified = strcmp(kv, "unified") == 0 || (strcmp(kv, "auto") == 0 && o->kv_tokens);
    if (!o->unified && strcmp(kv, "auto") != 0 && strcmp(kv, "streams") != 0)
        return fail(error, ERR_CONFIG, "kv is '%.32s'; it can be auto, streams or unified", kv);
    if (!o->unified && o->kv_tokens)
        return fail(error, ERR_CONFIG, "kv_tokens is %u, but kv is streams: each has n_ctx tokens",
                    o->kv_tokens);
    return OK;
}

/* What the scheduler does with what it knows. */
static enum err read_scheduling(const json_t *options, struct model_options *o, struct error *error)
{
    const char *sharing = "uid";
    enum err e = json_get_string(options, "prefix_sharing", &sharing, error);
    if (!e && !sharing_from_name(sharing, &o->sharing))
        e = fail(error, ERR_CONFIG, "prefix_sharing is '%.32s'; it can be uid, caller or off",
                 sharing);
    if (!e)
        e = json_get_u32(options, "prefix_cache_mib", 0, SHELF_MIB_HIGHEST, &o->shelf_mib, error);
    if (!e)
        e = json_get_u32(options, "pace_percent", PACE_PERCENT_LOWEST, PACE_PERCENT_HIGHEST,
                         &o->pace_percent, error);
    return e;
}

enum err model_options_read(const json_t *options, struct model_options *ret, struct error *error)
{
    struct model_options o = {
        .n_ctx = N_CTX_DEFAULT,
        .shelf_mib = SHELF_MIB_DEFAULT,
        .pace_percent = PACE_PERCENT_DEFAULT,
    };
    int64_t layers = 0;
    enum err e = json_get_u32(options, "n_ctx", N_CTX_LOWEST, N_CTX_HIGHEST, &o.n_ctx, error);
    if (!e)
        e = json_get_int(options, "n_gpu_layers", -1, INT32_MAX, &layers, error);
    if (!e)
        e = loading_read(options, &o.loading, error);
    if (!e)
        e = read_scheduling(options, &o, error);
    if (!e)
        e = read_kv(options, &o, error);
    if (e) {
        if (error)
            error->code = ERR_CONFIG;
        return ERR_CONFIG;
    }
    bool said = json_is_integer(json_object_get(options, "n_gpu_layers"));
    o.n_gpu_layers = !said && o.loading.rpc.n > 0 ? -1 : (int32_t)layers;
    *ret = o;
    return OK;
}

/* --- words ----------------------------------------------------------------- */

/* Copy what may be any bytes as whole characters, as many as there is room for. */
static void copy_text(const char *bytes, char *ret, size_t size)
{
    size_t n = strnlen(bytes, size);
    if (n == size)
        n = utf8_whole(bytes, size - 1);
    memcpy(ret, bytes, n);
    ret[n] = '\0';
    utf8_scrub(ret, n);
}

/* "/models/tiny.gguf" -> "tiny" */
static void file_stem(const char *path, char *ret, size_t size)
{
    const char *slash = strrchr(path, '/');
    copy_text(slash ? slash + 1 : path, ret, size);
    char *dot = strrchr(ret, '.');
    if (dot && dot != ret)
        *dot = '\0';
}

static void name_of(const struct llama_model *llama, const char *path, char *ret, size_t size)
{
    char name[256];
    if (llama_model_meta_val_str(llama, "general.name", name, sizeof name) > 0)
        copy_text(name, ret, size);
    else
        file_stem(path, ret, size);
}

static void tell_phase(struct worker *w, const struct load *load, const char *cpu_variant,
                       struct phase_news news)
{
    struct event event = { .kind = EVENT_PHASE, .phase = news };
    copy_text(load->model_path ? load->model_path : "", event.phase.path, sizeof event.phase.path);
    copy_text(cpu_variant, event.phase.cpu_variant, sizeof event.phase.cpu_variant);
    worker_tell(w, &event);
}

void model_tell_phase(struct worker *w, enum phase phase, const struct load *load, uint32_t n_ctx,
                      const char *cpu_variant)
{
    tell_phase(w, load, cpu_variant, (struct phase_news){ .phase = phase, .n_ctx = n_ctx });
}

/* --- the file -------------------------------------------------------------- */

/* Who hears how far loading is, and when it was told last. */
struct listener {
    struct worker *worker;
    const struct load *load;
    const char *cpu_variant;
    int64_t told_ms;
};

/* Without a daemon there is nobody to load for. */
static bool on_progress(float progress, void *listener)
{
    struct listener *l = listener;
    struct error error;
    worker_progress(l->worker);
    if (clock_ms() - l->told_ms < PROGRESS_EVERY_MS)
        return true;
    l->told_ms = clock_ms();
    tell_phase(l->worker, l->load, l->cpu_variant,
               (struct phase_news){ .phase = PHASE_MMAP, .percent = (uint32_t)(progress * 100) });
    return worker_flush(l->worker, &error) == OK;
}

static FILE *open_again(void)
{
    int fd = dup(ENGINE_MODEL_FD);
    if (fd < 0)
        return NULL;
    FILE *f = lseek(fd, 0, SEEK_SET) < 0 ? NULL : fdopen(fd, "rb");
    if (!f)
        close(fd);
    return f;
}

/* Nothing of the file reaches llama.cpp before this has seen it. */
static enum err check_file(const char *path, struct modelfile *ret, struct error *error)
{
    int fd = ENGINE_MODEL_FD;
    struct stat st;
    struct error why;
    if (fstat(fd, &st) < 0)
        return fail_sys(error, "cannot read model '%s'", path);
    CLEANUP(free_ptr) struct window *w = malloc(sizeof *w);
    if (!w)
        return fail_nomem(error);
    window_open(w, window_read_fd, &fd, st.st_size > 0 ? (uint64_t)st.st_size : 0);
    enum err e = modelfile_check(w, ret, &why);
    return e ? fail(error, e, "cannot load model '%s': %s", path, why.message) : OK;
}

/* Why llama.cpp would not load it; its own reason, if it gave one. */
static enum err explain(const char *path, struct hearsay *said, struct error *error)
{
    static const char before[] = "error loading model: ";
    char *why = strstr(said->text, before);
    why = why ? why + strlen(before) : said->text;
    why[strcspn(why, "\n")] = '\0';
    return fail(error, ERR_CONFIG, "cannot load model '%s': %.200s", path,
                why[0] ? why : "llama.cpp does not say why");
}

/* Is there anything but the CPU to put layers on? */
static bool has_device(void)
{
    return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_GPU) ||
           ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_IGPU);
}

/* The shelf gets half of what is left at most: what it keeps is worth less than what runs. */
static size_t shelf_for(const struct model_options *options, uint64_t spare)
{
    uint64_t wanted = (uint64_t)options->shelf_mib << 20;
    return (size_t)(wanted < spare / 2 ? wanted : spare / 2);
}

/* Too many slots are made fewer, unless they were asked for: one is enough to serve. */
static enum err find_room(const struct modelfile *file, const char *path,
                          const struct model_options *options, struct model *m, struct error *error)
{
    struct estimate_plan plan = {
        .slots = options->kv_tokens ? 1 : m->slots,
        .n_ctx = options->kv_tokens ? options->kv_tokens : options->n_ctx,
        .batch = MODEL_BATCH,
        .kv_type = options->loading.kv_type,
        .flash_attention = options->loading.flash_attention != LLAMA_FLASH_ATTN_TYPE_DISABLED,
        .layers_elsewhere = has_device() ? options->n_gpu_layers : 0,
    };
    const struct memory *memory = &options->loading.memory;
    struct estimate e = estimate_make(&file->measures, file->data_bytes, &plan);
    while (!estimate_fits(&e, memory) && plan.slots > 1 && !options->loading.fixed_slots) {
        plan.slots--;
        e = estimate_make(&file->measures, file->data_bytes, &plan);
    }
    if (options->loading.check_memory && !estimate_fits(&e, memory)) {
        struct error why;
        enum err refused = estimate_refuse(&e, &plan, memory, &why);
        return fail(error, refused, "cannot load model '%s': %s", path, why.message);
    }
    if (options->loading.check_memory && !options->kv_tokens)
        m->slots = plan.slots;
    m->shelf_bytes = shelf_for(options, estimate_spare(&e, memory));
    return OK;
}

static enum err load_file(struct listener *listener, const char *path,
                          const struct model_options *options, struct model *m, struct error *error)
{
    struct modelfile file;
    enum err e = check_file(path, &file, error);
    if (!e)
        e = find_room(&file, path, options, m, error);
    if (e)
        return e;
    FILE *f = open_again();
    if (!f)
        return fail_sys(error, "cannot read model '%s'", path);
    struct llama_model_params params = llama_model_default_params();
    params.n_gpu_layers = options->n_gpu_layers;
    params.load_mode = options->loading.mmap ? LLAMA_LOAD_MODE_MMAP : LLAMA_LOAD_MODE_NONE;
    params.progress_callback = on_progress;
    params.progress_callback_user_data = listener;

    struct hearsay said;
    quiet_listen(&said);
    m->llama = llama_model_load_from_file_ptr(f, params);
    e = m->llama ? OK : explain(path, &said, error);
    quiet_listen(NULL);
    fclose(f);
    return e;
}

/* --- the context ----------------------------------------------------------- */

static uint32_t context_for(const struct llama_model *llama, uint32_t wanted)
{
    int32_t trained = llama_model_n_ctx_train(llama);
    return trained > 0 && (uint32_t)trained < wanted ? (uint32_t)trained : wanted;
}

static enum err make_context(struct model *m, const struct model_options *options, const char *path,
                             struct error *error)
{
    uint64_t cells = options->kv_tokens ? options->kv_tokens : (uint64_t)m->n_ctx * m->slots;
    if (cells < m->n_ctx)
        return fail(error, ERR_CONFIG, "kv_tokens is %u; one request may need %u (n_ctx)",
                    options->kv_tokens, m->n_ctx);
    if (m->slots == 0 || m->slots > llama_max_parallel_sequences())
        return fail(error, ERR_CONFIG, "%u slots; 1 to %zu are possible", m->slots,
                    llama_max_parallel_sequences());
    if (cells > INT32_MAX)
        return fail(error, ERR_CONFIG, "%u slots of %u tokens are more than %d", m->slots, m->n_ctx,
                    INT32_MAX);

    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = (uint32_t)cells;
    params.n_batch = MODEL_BATCH;
    params.n_ubatch = MODEL_BATCH;
    params.n_seq_max = m->slots;
    params.n_outputs_max = m->slots; /* one for each that is to be sampled */
    params.n_threads = (int32_t)options->loading.threads;
    params.n_threads_batch = (int32_t)options->loading.batch_threads;
    params.type_k = options->loading.kv_type;
    params.type_v = options->loading.kv_type;
    params.flash_attn_type = options->loading.flash_attention;
    params.kv_unified = options->unified;
    params.no_perf = true;
    params.cb_eval = pages_look;
    params.cb_eval_user_data = m->pages;
    m->context = llama_init_from_model(m->llama, params);
    if (!m->context)
        return fail(
            error, ERR_CONFIG,
            "no context of %u slots with %u tokens for '%s': there may be too little memory",
            m->slots, m->n_ctx, path);
    if (llama_model_has_encoder(m->llama) || !llama_get_memory(m->context))
        return fail(error, ERR_CONFIG, "'%s' is not a model that writes text", path);
    return OK;
}

static enum err decode(struct model *m, llama_token *tokens, int32_t n, struct error *error)
{
    int32_t failed = llama_decode(m->context, llama_batch_get_one(tokens, n));
    if (failed)
        return fail(error, ERR_CONFIG, "the model can't be computed: llama.cpp says %d", failed);
    return OK;
}

/* Write a token for each of the first `n` slots, which are empty. */
static enum err write_first(struct model *m, uint32_t n, struct error *error)
{
    struct llama_batch batch = llama_batch_init((int32_t)n, 0, 1);
    batch.n_tokens = (int32_t)n;
    for (uint32_t i = 0; i < n; i++) {
        batch.token[i] = 0;
        batch.pos[i] = 0;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = (llama_seq_id)i;
        batch.logits[i] = true;
    }
    int32_t failed = llama_decode(m->context, batch);
    llama_synchronize(m->context);
    llama_batch_free(batch);
    if (failed)
        return fail(error, ERR_CONFIG, "%u at a time can't be computed: llama.cpp says %d", n,
                    failed);
    return OK;
}

/* What that takes, in microseconds: the least of some tries, of which the first may have had
 * to set things up. */
static enum err time_pass(struct model *m, uint32_t n, int64_t *ret_us, struct error *error)
{
    int64_t least = INT64_MAX, all = 0;
    for (int i = 0; i < TIMED_MOST && (i < 2 || all < TIMED_US); i++) {
        llama_memory_clear(llama_get_memory(m->context), false);
        int64_t began = clock_us();
        enum err e = write_first(m, n, error);
        if (e)
            return e;
        int64_t us = clock_us() - began;
        all += us;
        least = us < least ? us : least;
    }
    *ret_us = least;
    return OK;
}

/* Kernels for several rows may go through the weights so much slower than those for one that
 * two passes are faster than one for two. */
static enum err time_company(struct model *m, struct error *error)
{
    m->together_from = 2;
    for (uint32_t n = 2; n <= APART_MOST && n <= m->slots; n++) {
        int64_t us;
        enum err e = time_pass(m, n, &us, error);
        if (e)
            return e;
        if ((double)us < pays * n * (double)m->one_us)
            break;
        m->together_from = n + 1;
    }
    return time_pass(m, m->slots, &m->all_us, error);
}

/* Many tokens take other paths than one.  `ready` means that both were taken. */
static enum err warm_up(struct model *m, struct error *error)
{
    llama_token tokens[WARM_UP_TOKENS];
    int32_t n_vocab = llama_vocab_n_tokens(m->vocab);
    for (int32_t i = 0; i < WARM_UP_TOKENS; i++)
        tokens[i] = i % n_vocab;
    int32_t n = m->n_ctx > WARM_UP_TOKENS ? WARM_UP_TOKENS : (int32_t)m->n_ctx - 1;
    enum err e = decode(m, tokens, n, error);
    if (!e)
        e = decode(m, tokens, 1, error);
    if (!e)
        e = time_pass(m, 1, &m->one_us, error);
    if (!e)
        e = time_company(m, error);
    llama_synchronize(m->context);
    llama_memory_clear(llama_get_memory(m->context), true);
    return e;
}

/* Settle what is in memory for as long as the model is served.  To be done once everything
 * was computed with. */
static enum err arrange_pages(struct model *m, const struct loading *loading, struct error *error)
{
    const struct memory *memory = &loading->memory;
    uint64_t weights = llama_model_size(m->llama);
    bool twice = weights <= memory->available / 2 && weights <= memory->of_the_process / 2;
    pages_release(m->pages);
    return loading->huge_pages && twice ? pages_enlarge(m->pages, loading->mmap, error) : OK;
}

/* How far its memory can be taken back, and what of that is used.  Where all share one cache,
 * what has left one's window may be overwritten by another, here and there. */
static void set_up_scheduling(struct model *m, const struct model_options *options)
{
    int32_t window = llama_model_n_swa(m->llama);
    bool overwritten = window > 0 && options->unified;
    m->rewind = (struct rewind){
        .possible =
            !llama_model_is_recurrent(m->llama) && !llama_model_is_hybrid(m->llama) && !overwritten,
        .window = window > 0 ? (uint32_t)window : 0,
    };
    m->unified = options->unified;
    m->n_cells = llama_n_ctx(m->context);
    m->sharing = options->sharing;
    m->slowdown = options->pace_percent / 100.0;
}

/* --- all of it ------------------------------------------------------------- */

/* The device that computes layers which are not the CPU's; "cpu" if there are none. */
static void describe_accelerator(struct model *m, int32_t n_gpu_layers)
{
    struct capabilities *c = &m->capabilities;
    snprintf(c->accelerator, sizeof c->accelerator, "cpu");
    ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_GPU);
    bool on_device = n_gpu_layers != 0 && device;
    if (on_device || cpu)
        copy_text(ggml_backend_dev_description(on_device ? device : cpu), c->device,
                  sizeof c->device);
    if (!on_device)
        return;
    snprintf(c->accelerator, sizeof c->accelerator, "%s",
             ggml_backend_reg_name(ggml_backend_dev_backend_reg(device)));
    for (char *p = c->accelerator; *p; p++)
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
    int32_t all = llama_model_n_layer(m->llama) + 1; /* and the output */
    c->gpu_layers = n_gpu_layers < 0 || n_gpu_layers > all ? all : n_gpu_layers;
}

static void describe_cache(struct model *m)
{
    const char *prefixes = m->sharing == SHARING_OFF ? "off"
                           : !m->rewind.possible     ? "whole"
                           : m->rewind.window        ? "windowed"
                                                     : "anywhere";
    snprintf(m->capabilities.kv, sizeof m->capabilities.kv, "%s",
             m->unified ? "unified" : "streams");
    snprintf(m->capabilities.prefixes, sizeof m->capabilities.prefixes, "%s", prefixes);
}

static void describe(struct model *m, const char *path, int32_t n_gpu_layers,
                     const char *cpu_variant)
{
    m->capabilities = (struct capabilities){
        .v2 = true,
        .grammar = true,
        .threads = (uint32_t)llama_n_threads(m->context),
        .batch_threads = (uint32_t)llama_n_threads_batch(m->context),
        .n_ctx = m->n_ctx,
        .slots = m->slots,
    };
    name_of(m->llama, path, m->capabilities.model, sizeof m->capabilities.model);
    copy_text(cpu_variant, m->capabilities.cpu_variant, sizeof m->capabilities.cpu_variant);
    describe_accelerator(m, n_gpu_layers);
    describe_cache(m);
}

enum err model_load(struct worker *w, const struct load *load, const struct model_options *options,
                    const char *cpu_variant, struct model *ret, struct error *error)
{
    const char *path = load->model_path ? load->model_path : "";
    struct model m = { .slots = load->slots };
    struct listener listener = { w, load, cpu_variant, clock_ms() };
    enum err e = load_file(&listener, path, options, &m, error);
    if (e)
        return e;
    m.vocab = llama_model_get_vocab(m.llama);
    e = chat_new(m.llama, NULL, &m.chat, error);
    if (e)
        return e;
    if (chat_is_substitute(m.chat))
        log_warn("the model has no chat template; ChatML stands in");

    m.n_ctx = context_for(m.llama, options->n_ctx);
    model_tell_phase(w, PHASE_KV_CACHE, load, m.n_ctx, cpu_variant);
    e = worker_flush(w, error);
    m.pages = calloc(1, sizeof *m.pages);
    if (!e && !m.pages)
        e = fail(error, ERR_NO_MEMORY, "there is no memory for '%s'", path);
    if (!e)
        e = make_context(&m, options, path, error);
    if (!e)
        e = warm_up(&m, error);
    if (!e)
        e = arrange_pages(&m, &options->loading, error);
    if (e)
        return e;
    set_up_scheduling(&m, options);
    describe(&m, path, options->n_gpu_layers, cpu_variant);
    *ret = m;
    return OK;
}
