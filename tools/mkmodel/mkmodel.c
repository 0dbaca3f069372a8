/*
 * mkmodel.c - write a small GGUF model with random weights.
 *
 *     mkmodel --out tiny.gguf
 *     mkmodel --out bench.gguf --preset 135m --end-tokens unreachable
 *
 * Such a model says nothing sensible, but it has the vocabulary, the chat template,
 * the speed and the memory of a real one of its shape: it is what tests and
 * benchmarks run on without a download.
 *
 * The file is made under a temporary name beside the target: first the metadata at
 * its full size, so that libllama can be asked about the vocabulary, then one tensor
 * after the other.  It gets its name when it is complete.
 */
#include <errno.h>
#include <fcntl.h>
#include <gguf.h>
#include <inttypes.h>
#include <limits.h>
#include <llama.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "shape.h"
#include "vocab.h"
#include "weights.h"

enum { COMPLAINT_MAX = 400 };

struct options {
    const char *out;
    const char *name;
    const char *vocab;
    const char *vocab_dir;
    const char *template; /* NULL: the vocabulary's own, or ChatML */
    bool end_reachable;
    struct shape shape;
};

static const struct preset {
    const char *name;
    const char *vocab;
    struct shape shape;
} presets[] = {
    { "tiny",
      VOCAB_BYTES,
      { .layers = 2,
        .width = 64,
        .heads = 4,
        .kv_heads = 2,
        .ffn = 128,
        .context = 2048,
        .type = GGML_TYPE_Q8_0 } },
    { "135m",
      "starcoder",
      { .layers = 30,
        .width = 576,
        .heads = 9,
        .kv_heads = 3,
        .ffn = 1536,
        .context = 8192,
        .type = GGML_TYPE_Q8_0 } },
};

/* --- flags -------------------------------------------------------------------- */

struct flag {
    const char *name;
    const char *value;
    const char *help;
    enum err (*take)(const struct flag *, const char *value, struct options *, struct error *);
    size_t at; /* in struct options; for the functions that several flags share */
    uint32_t lowest;
    uint32_t highest;
};

static enum err take_text(const struct flag *f, const char *value, struct options *o,
                          struct error *error)
{
    if (!*value)
        return fail(error, ERR_CONFIG, "%s must not be empty", f->name);
    *(const char **)((char *)o + f->at) = value;
    return OK;
}

static enum err take_count(const struct flag *f, const char *value, struct options *o,
                           struct error *error)
{
    char *end;
    errno = 0;
    uintmax_t n = strtoumax(value, &end, 10);
    if (errno || *end || value[0] < '0' || value[0] > '9' || n < f->lowest || n > f->highest)
        return fail(error, ERR_CONFIG, "%s is '%s'; a whole number from %u to %u is needed",
                    f->name, value, f->lowest, f->highest);
    *(uint32_t *)((char *)o + f->at) = (uint32_t)n;
    return OK;
}

static enum err take_seed(const struct flag *f, const char *value, struct options *o,
                          struct error *error)
{
    char *end;
    errno = 0;
    uintmax_t n = strtoumax(value, &end, 10);
    if (errno || *end || value[0] < '0' || value[0] > '9' || n > UINT64_MAX)
        return fail(error, ERR_CONFIG, "%s is '%s'; a whole number of at most 64 bits is needed",
                    f->name, value);
    o->shape.seed = n;
    return OK;
}

static enum err take_scale(const struct flag *f, const char *value, struct options *o,
                           struct error *error)
{
    char *end;
    float x = strtof(value, &end);
    if (*end || end == value || !(x >= 0.01f && x <= 16))
        return fail(error, ERR_CONFIG, "%s is '%s'; a number from 0.01 to 16 is needed", f->name,
                    value);
    o->shape.scale = x;
    return OK;
}

static enum err take_type(const struct flag *f, const char *value, struct options *o,
                          struct error *error)
{
    static const enum ggml_type known[] = { GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_Q8_0 };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(value, ggml_type_name(known[i])) == 0) {
            o->shape.type = known[i];
            return OK;
        }
    return fail(error, ERR_CONFIG, "%s is '%s'; f32, f16 or q8_0 is needed", f->name, value);
}

static enum err take_end_tokens(const struct flag *f, const char *value, struct options *o,
                                struct error *error)
{
    if (strcmp(value, "reachable") != 0 && strcmp(value, "unreachable") != 0)
        return fail(error, ERR_CONFIG, "%s is '%s'; reachable or unreachable is needed", f->name,
                    value);
    o->end_reachable = value[0] == 'r';
    return OK;
}

static enum err take_memory(const struct flag *f, const char *value, struct options *o,
                            struct error *error)
{
    static const char *const names[] = {
        [KEEP_ALL] = "all",
        [KEEP_WINDOW] = "window",
        [KEEP_STATE] = "state",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(value, names[i]) == 0) {
            o->shape.keeping = (enum keeping)i;
            return OK;
        }
    return fail(error, ERR_CONFIG, "%s is '%s'; all, window or state is needed", f->name, value);
}

static void use_preset(struct options *o, const struct preset *p)
{
    o->vocab = p->vocab;
    o->shape = p->shape;
    o->shape.scale = 1;
}

static enum err take_preset(const struct flag *f, const char *value, struct options *o,
                            struct error *error)
{
    for (size_t i = 0; i < ARRAY_LEN(presets); i++)
        if (strcmp(value, presets[i].name) == 0) {
            use_preset(o, &presets[i]);
            return OK;
        }
    return fail(error, ERR_CONFIG, "%s is '%s'; tiny or 135m is needed", f->name, value);
}

#define TEXT(member) .take = take_text, .at = offsetof(struct options, member)
#define COUNT(member, low, high)                                                                   \
    .take = take_count, .at = offsetof(struct options, shape.member), .lowest = (low),             \
    .highest = (high)

static const struct flag flags[] = {
    { "--out", "FILE", "where the model goes (required)", TEXT(out) },
    { "--preset", "NAME", "tiny (default) or 135m; the other flags change it",
      .take = take_preset },
    { "--vocab", "NAME", "bytes, or one of llama.cpp's vocabularies: starcoder, ...", TEXT(vocab) },
    { "--vocab-dir", "DIR", "where the files ggml-vocab-NAME.gguf are", TEXT(vocab_dir) },
    { "--layers", "N", "number of layers", COUNT(layers, 1, 1000) },
    { "--width", "N", "features per position", COUNT(width, 2, 32768) },
    { "--heads", "N", "attention heads", COUNT(heads, 1, 1024) },
    { "--kv-heads", "N", "heads of keys and values", COUNT(kv_heads, 1, 1024) },
    { "--ffn", "N", "width of the feed-forward part", COUNT(ffn, 1, 131072) },
    { "--context", "N", "training context, in tokens", COUNT(context, 1, INT32_MAX) },
    { "--memory", "KIND", "what layers keep: all, or every other a window or a state",
      .take = take_memory },
    { "--type", "TYPE", "f32, f16 or q8_0", .take = take_type },
    { "--scale", "X", "how far the logits lie apart (standard deviation; default 1)",
      .take = take_scale },
    { "--seed", "N", "same seed, same file (default 0)", .take = take_seed },
    { "--end-tokens", "HOW", "reachable (default), or unreachable: no answer ends by itself",
      .take = take_end_tokens },
    { "--template", "FILE", "chat template: a file, chatml or none", TEXT(template) },
    { "--name", "TEXT", "general.name in the metadata", TEXT(name) },
};

static void print_help(void)
{
    printf("usage: mkmodel --out FILE [flags]\n\nWrite a GGUF model with random weights.\n\n");
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        printf("  %-13s %-5s  %s\n", flags[i].name, flags[i].value, flags[i].help);
    printf("  %-13s %-5s  %s\n", "--help", "", "this text");
}

static const struct flag *find_flag(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (strcmp(name, flags[i].name) == 0)
            return &flags[i];
    return NULL;
}

/* Take the presets, or everything else: a preset must not undo what stands before it. */
static enum err take_flags(int argc, char **argv, bool presets_only, struct options *o,
                           struct error *error)
{
    enum err e;
    for (int i = 1; i < argc; i += 2) {
        const struct flag *f = find_flag(argv[i]);
        if (!f)
            return fail(error, ERR_CONFIG, "unknown argument '%s'; see --help", argv[i]);
        if (i + 1 == argc)
            return fail(error, ERR_CONFIG, "%s needs a value: %s", f->name, f->value);
        if ((f->take == take_preset) != presets_only)
            continue;
        if ((e = f->take(f, argv[i + 1], o, error)) != OK)
            return e;
    }
    return OK;
}

static enum err parse(int argc, char **argv, struct options *o, struct error *error)
{
    enum err e;
    if ((e = take_flags(argc, argv, true, o, error)) != OK ||
        (e = take_flags(argc, argv, false, o, error)) != OK)
        return e;
    if (!o->out)
        return fail(error, ERR_CONFIG, "--out FILE is missing; see --help");
    return weights_check(&o->shape, error);
}

/* --- the file ----------------------------------------------------------------- */

/* A file in the making: removed on every way out, unless it was kept. */
struct draft {
    char path[PATH_MAX]; /* "" once there is nothing to remove */
    FILE *file;
};

static void draft_drop(struct draft *d)
{
    if (d->file)
        fclose(d->file);
    if (d->path[0])
        unlink(d->path);
}

static enum err draft_open(struct draft *d, const char *target, struct error *error)
{
    struct stat old;
    if (stat(target, &old) == 0 && !S_ISREG(old.st_mode))
        return fail(error, ERR_CONFIG, "'%s' is there and is no regular file", target);
    if (snprintf(d->path, sizeof d->path, "%s.XXXXXX", target) >= (int)sizeof d->path) {
        d->path[0] = '\0';
        return fail(error, ERR_CONFIG, "the path '%.100s...' is too long", target);
    }
    int fd = mkostemp(d->path, O_CLOEXEC);
    if (fd < 0) {
        d->path[0] = '\0';
        return fail_sys(error, "cannot create a file beside '%s'", target);
    }
    d->file = fdopen(fd, "r+");
    if (!d->file) {
        close(fd);
        return fail_nomem(error);
    }
    return OK;
}

static enum err draft_keep(struct draft *d, const char *target, struct error *error)
{
    if (fchmod(fileno(d->file), 0644) < 0 || fflush(d->file) != 0)
        return fail_sys(error, "cannot finish '%s'", target);
    if (rename(d->path, target) < 0)
        return fail_sys(error, "cannot put '%s' in place", target);
    d->path[0] = '\0';
    return OK;
}

static void drop_gguf(struct gguf_context **g)
{
    gguf_free(*g);
}

/* Metadata, and zeros where the tensors will be. */
static enum err write_outline(const struct gguf_context *model, struct draft *d,
                              struct error *error)
{
    if (!gguf_write_to_file_ptr(model, d->file, true) || fflush(d->file) != 0 ||
        ftruncate(fileno(d->file), (off_t)weights_file_size(model)) < 0)
        return fail_sys(error, "cannot write '%s'", d->path);
    return OK;
}

static enum err describe(struct gguf_context *model, const struct options *o, struct error *error)
{
    enum err e;
    gguf_set_val_str(model, "general.name", o->name);
    if ((e = vocab_put(model, o->vocab, o->vocab_dir, error)) != OK)
        return e;
    if ((e = vocab_put_template(model, o->template, error)) != OK)
        return e;
    return weights_declare(model, &o->shape, vocab_size(model), error);
}

static enum err make(const struct options *o, struct error *error)
{
    CLEANUP(drop_gguf) struct gguf_context *model = gguf_init_empty();
    CLEANUP(draft_drop) struct draft draft = { 0 };
    CLEANUP(free_ptr) bool *silent = NULL;
    enum err e;

    if ((e = describe(model, o, error)) != OK)
        return e;
    uint32_t n_tokens = vocab_size(model);
    if ((e = draft_open(&draft, o->out, error)) != OK)
        return e;
    if ((e = write_outline(model, &draft, error)) != OK)
        return e;
    if ((e = vocab_find_silent(draft.path, n_tokens, &silent, error)) != OK)
        return e;
    e = weights_write(model, &o->shape, n_tokens, o->end_reachable ? NULL : silent, draft.file,
                      error);
    if (e != OK)
        return e;
    return draft_keep(&draft, o->out, error);
}

/* The last complaint of libllama; its sentence is the only place that says why. */
static void keep_complaint(enum ggml_log_level level, const char *text, void *data)
{
    if (level == GGML_LOG_LEVEL_ERROR)
        snprintf(data, COMPLAINT_MAX, "%.*s", (int)strcspn(text, "\n"), text);
}

static int finish(enum err e, const struct error *error, const char *complaint)
{
    if (e == OK)
        return 0;
    fprintf(stderr, "mkmodel: %s\n", error->message);
    if (complaint[0])
        fprintf(stderr, "mkmodel: libllama says: %s\n", complaint);
    return 1;
}

int main(int argc, char **argv)
{
    struct options options = { .name = "random",
                               .vocab_dir = MKMODEL_VOCAB_DIR,
                               .end_reachable = true };
    char complaint[COMPLAINT_MAX] = "";
    struct error error;

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        print_help();
        return 0;
    }
    use_preset(&options, &presets[0]);
    if (parse(argc, argv, &options, &error) != OK) {
        fprintf(stderr, "mkmodel: %s\n", error.message);
        return 2;
    }
    signal(SIGXFSZ, SIG_IGN); /* a file over the limit is an error like a full disk */
    llama_log_set(keep_complaint, complaint);
    return finish(make(&options, &error), &error, complaint);
}
