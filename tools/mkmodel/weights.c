/*
 * weights.c - tensors, filled row by row.
 *
 * A matrix has one row per output.  Its entries are random with a standard
 * deviation of gain / sqrt(row length), so a normalised input comes out with a
 * deviation of `gain`; what the layers add to the residual stream is scaled down
 * by their number, so activations stay small at any depth.
 *
 * Feature 0 of the residual stream is a constant.  Every embedding has ANCHOR
 * there, and the matrices that write to the stream have a row of zeros for it, so
 * it is ANCHOR behind the last layer too, and positive after the final norm,
 * which only divides.  The output row of a silent token is a large negative
 * number in that column and zero elsewhere: its logit is about -MUTE at every
 * position, while all others stay within a few times `scale`.  exp() of the
 * distance is zero in single precision, so neither greedy nor sampled decoding can
 * choose it.  A single number among zeros survives Q8_0 too, and an untied output
 * matrix is what keeps these rows out of the embeddings.
 *
 * Each tensor has its own random sequence, derived from the seed and its name, so
 * that a change of one dimension leaves the tensors it does not touch as they were.
 * Only integer arithmetic and correctly rounded operations are used: the same
 * seed gives the same file on every machine.
 */
#include "weights.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "vocab.h"

#define ANCHOR 4.0f
#define MUTE   4000.0f

/* Attention scores have a deviation of SHARP^2, so each position looks at a few
 * others, and what it finds there counts LISTEN times as much as what the
 * feed-forward part adds.  With both at 1 the answer would depend on little but the
 * last token, and a mix-up in a cache would stay unseen. */
#define SHARP  2.0f
#define LISTEN 2.0f

enum {
    CHUNK_FLOATS = 1 << 18,
    GGUF_KEY_MAX = 128,
    LAYERS_MOST = 1000,
};

enum kind {
    NORM,     /* ones */
    FILTER,   /* over the last tokens, for each feature */
    EMBED,    /* a row per token */
    INNER,    /* reads the residual stream */
    RESIDUAL, /* writes it */
    OUTPUT,   /* a row per token */
};

struct tensor {
    char name[GGML_MAX_NAME];
    enum kind kind;
    uint32_t row; /* length of a row */
    uint32_t rows;
    float gain;
};

/* --- which tensors there are -------------------------------------------------- */

struct plan {
    struct tensor *tensors; /* owned */
    size_t n;
};

static void plan_done(struct plan *p)
{
    free(p->tensors);
}

enum {
    PER_LAYER_MOST = 11,
    AROUND = 3,
    FILTER_TOKENS = 3, /* the state of a layer is two of them */
};

static void add(struct plan *p, enum kind kind, uint32_t row, uint32_t rows, float gain,
                const char *name, ...) PRINTF(6, 7);

static void add(struct plan *p, enum kind kind, uint32_t row, uint32_t rows, float gain,
                const char *name, ...)
{
    struct tensor *t = &p->tensors[p->n++];
    va_list args;

    *t = (struct tensor){ .kind = kind, .row = row, .rows = rows, .gain = gain };
    va_start(args, name);
    vsnprintf(t->name, sizeof t->name, name, args);
    va_end(args);
}

/* Every other layer is one that keeps less. */
static bool keeps_less(const struct shape *s, uint32_t layer)
{
    return s->keeping != KEEP_ALL && layer % 2 == 0;
}

static void add_attention(struct plan *p, const struct shape *s, uint32_t i, float share)
{
    uint32_t head = s->width / s->heads;
    uint32_t kv = head * s->kv_heads;

    add(p, INNER, s->width, s->width, SHARP, "blk.%u.attn_q.weight", i);
    add(p, INNER, s->width, kv, SHARP, "blk.%u.attn_k.weight", i);
    add(p, INNER, s->width, kv, 1, "blk.%u.attn_v.weight", i);
    add(p, RESIDUAL, s->width, s->width, LISTEN * share, "blk.%u.attn_output.weight", i);
    if (s->keeping == KEEP_WINDOW)
        add(p, NORM, s->heads, 1, 0, "blk.%u.attn_sinks.weight", i);
    if (s->keeping == KEEP_STATE) {
        add(p, NORM, head, 1, 0, "blk.%u.attn_q_norm.weight", i);
        add(p, NORM, head, 1, 0, "blk.%u.attn_k_norm.weight", i);
    }
}

static void add_state(struct plan *p, const struct shape *s, uint32_t i, float share)
{
    add(p, FILTER, FILTER_TOKENS, s->width, 1, "blk.%u.shortconv.conv.weight", i);
    add(p, INNER, s->width, 3 * s->width, 1, "blk.%u.shortconv.in_proj.weight", i);
    add(p, RESIDUAL, s->width, s->width, LISTEN * share, "blk.%u.shortconv.out_proj.weight", i);
}

static void add_layer(struct plan *p, const struct shape *s, uint32_t i)
{
    float share = 1 / sqrtf(2 * (float)s->layers);

    add(p, NORM, s->width, 1, 0, "blk.%u.attn_norm.weight", i);
    if (s->keeping == KEEP_STATE && keeps_less(s, i))
        add_state(p, s, i, share);
    else
        add_attention(p, s, i, share);
    add(p, NORM, s->width, 1, 0, "blk.%u.ffn_norm.weight", i);
    add(p, INNER, s->width, s->ffn, 1, "blk.%u.ffn_gate.weight", i);
    add(p, INNER, s->width, s->ffn, 1, "blk.%u.ffn_up.weight", i);
    add(p, RESIDUAL, s->ffn, s->width, share, "blk.%u.ffn_down.weight", i);
}

static enum err plan_make(struct plan *p, const struct shape *s, uint32_t n_tokens,
                          struct error *error)
{
    p->tensors = calloc((size_t)s->layers * PER_LAYER_MOST + AROUND, sizeof *p->tensors);
    if (!p->tensors)
        return fail_nomem(error);
    add(p, EMBED, s->width, n_tokens, sqrtf((float)s->width), "token_embd.weight");
    for (uint32_t i = 0; i < s->layers; i++)
        add_layer(p, s, i);
    add(p, NORM, s->width, 1, 0,
        s->keeping == KEEP_STATE ? "token_embd_norm.weight" : "output_norm.weight");
    add(p, OUTPUT, s->width, n_tokens, s->scale, "output.weight");
    return OK;
}

/* --- what the file says ------------------------------------------------------- */

enum err weights_check(const struct shape *s, struct error *error)
{
    uint32_t block = (uint32_t)ggml_blck_size(s->type);

    if (s->width % s->heads != 0)
        return fail(error, ERR_CONFIG, "--width %u is not a multiple of --heads %u", s->width,
                    s->heads);
    if (s->width / s->heads % 2 != 0)
        return fail(error, ERR_CONFIG, "--width %u over --heads %u is %u per head; it must be even",
                    s->width, s->heads, s->width / s->heads);
    if (s->heads % s->kv_heads != 0)
        return fail(error, ERR_CONFIG, "--heads %u is not a multiple of --kv-heads %u", s->heads,
                    s->kv_heads);
    if (s->width % block != 0)
        return fail(error, ERR_CONFIG, "--width %u is not a multiple of %u, as --type %s needs",
                    s->width, block, ggml_type_name(s->type));
    if (s->ffn % block != 0)
        return fail(error, ERR_CONFIG, "--ffn %u is not a multiple of %u, as --type %s needs",
                    s->ffn, block, ggml_type_name(s->type));
    return OK;
}

static void set_u32(struct gguf_context *model, const char *name, uint32_t value)
{
    char key[GGUF_KEY_MAX];
    int64_t id = gguf_find_key(model, "general.architecture");
    snprintf(key, sizeof key, "%s.%s", gguf_get_val_str(model, id), name);
    gguf_set_val_u32(model, key, value);
}

static void set_f32(struct gguf_context *model, const char *name, float value)
{
    char key[GGUF_KEY_MAX];
    int64_t id = gguf_find_key(model, "general.architecture");
    snprintf(key, sizeof key, "%s.%s", gguf_get_val_str(model, id), name);
    gguf_set_val_f32(model, key, value);
}

static void declare_window(struct gguf_context *model, const struct shape *s)
{
    bool less[LAYERS_MOST];
    for (uint32_t i = 0; i < s->layers; i++)
        less[i] = keeps_less(s, i);
    gguf_set_arr_data(model, "granite_swa.attention.sliding_window_pattern", GGUF_TYPE_BOOL, less,
                      s->layers);
    set_u32(model, "attention.sliding_window", WINDOW);
    set_f32(model, "logit_scale", 1);
}

static void declare_state(struct gguf_context *model, const struct shape *s)
{
    uint32_t kv_heads[LAYERS_MOST];
    for (uint32_t i = 0; i < s->layers; i++)
        kv_heads[i] = keeps_less(s, i) ? 0 : s->kv_heads;
    gguf_set_arr_data(model, "lfm2.attention.head_count_kv", GGUF_TYPE_UINT32, kv_heads, s->layers);
    set_u32(model, "shortconv.l_cache", FILTER_TOKENS);
}

static void declare_architecture(struct gguf_context *model, const struct shape *s,
                                 uint32_t n_tokens)
{
    static const char *const names[] = {
        [KEEP_ALL] = "llama",
        [KEEP_WINDOW] = "granite_swa",
        [KEEP_STATE] = "lfm2",
    };
    gguf_set_val_str(model, "general.architecture", names[s->keeping]);
    gguf_set_val_u32(model, "general.quantization_version", GGML_QNT_VERSION);
    set_u32(model, "vocab_size", n_tokens);
    set_u32(model, "context_length", s->context);
    set_u32(model, "embedding_length", s->width);
    set_u32(model, "block_count", s->layers);
    set_u32(model, "feed_forward_length", s->ffn);
    set_u32(model, "attention.head_count", s->heads);
    if (s->keeping == KEEP_STATE)
        declare_state(model, s);
    else
        set_u32(model, "attention.head_count_kv", s->kv_heads);
    if (s->keeping == KEEP_WINDOW)
        declare_window(model, s);
    set_f32(model, "attention.layer_norm_rms_epsilon", 1e-5f);
    set_u32(model, "rope.dimension_count", s->width / s->heads);
    set_f32(model, "rope.freq_base", 10000.0f);
}

static void drop_context(struct ggml_context **c)
{
    ggml_free(*c);
}

enum err weights_declare(struct gguf_context *model, const struct shape *s, uint32_t n_tokens,
                         struct error *error)
{
    CLEANUP(plan_done) struct plan plan = { 0 };
    enum err e;

    declare_architecture(model, s, n_tokens);
    if ((e = plan_make(&plan, s, n_tokens, error)) != OK)
        return e;

    struct ggml_init_params params = { .mem_size = ggml_tensor_overhead() * plan.n,
                                       .no_alloc = true };
    CLEANUP(drop_context) struct ggml_context *scratch = ggml_init(params);
    if (!scratch)
        return fail_nomem(error);
    for (size_t i = 0; i < plan.n; i++) {
        const struct tensor *t = &plan.tensors[i];
        enum ggml_type type = t->kind == NORM || t->kind == FILTER ? GGML_TYPE_F32 : s->type;
        struct ggml_tensor *g = t->kind == NORM
                                    ? ggml_new_tensor_1d(scratch, type, t->row)
                                    : ggml_new_tensor_2d(scratch, type, t->row, t->rows);
        ggml_set_name(g, t->name);
        gguf_add_tensor(model, g);
    }
    return OK;
}

static uint64_t place_of(const struct gguf_context *model, int64_t id)
{
    return gguf_get_meta_size(model) + gguf_get_tensor_offset(model, id);
}

uint64_t weights_file_size(const struct gguf_context *model)
{
    int64_t last = gguf_get_n_tensors(model) - 1;
    size_t size = gguf_get_tensor_size(model, last);
    return place_of(model, last) + GGML_PAD(size, gguf_get_alignment(model));
}

/* --- numbers ------------------------------------------------------------------ */

/* A short hash that gives every tensor a sequence of its own (FNV-1a). */
static uint64_t hash_name(const char *name)
{
    uint64_t h = 0xcbf29ce484222325;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001b3;
    return h;
}

/* The next 64 random bits (SplitMix64). */
static uint64_t next_bits(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

/* Nearly normal: the sum of four uniform numbers of 16 bits, centred.  Its standard
 * deviation is FOUR_DEVIATION. */
#define FOUR_DEVIATION 37837.227f

static int32_t next_four(uint64_t *state)
{
    uint64_t x = next_bits(state);
    int32_t sum = (int32_t)(x & 0xffff) + (int32_t)(x >> 16 & 0xffff) +
                  (int32_t)(x >> 32 & 0xffff) + (int32_t)(x >> 48);
    return sum - 2 * 0xffff;
}

/* --- rows --------------------------------------------------------------------- */

static void fill_row(const struct tensor *t, uint32_t row, const bool *silent, float scale,
                     uint64_t *state, float *ret)
{
    float unit = t->gain / sqrtf((float)t->row) / FOUR_DEVIATION;

    for (uint32_t i = 0; i < t->row; i++)
        ret[i] = t->kind == NORM ? 1 : (float)next_four(state) * unit;

    if (t->kind == EMBED)
        ret[0] = ANCHOR;
    if (t->kind == OUTPUT)
        ret[0] = 0;
    bool mute = t->kind == OUTPUT && silent && silent[row];
    if (mute || (t->kind == RESIDUAL && row == 0))
        memset(ret, 0, t->row * sizeof *ret);
    if (mute)
        ret[0] = -MUTE * fmaxf(scale, 1);
}

/* Room for some rows, as they are computed and as they are written. */
struct chunk {
    float *rows;
    void *bytes;
};

static void chunk_done(struct chunk *c)
{
    free(c->rows);
    free(c->bytes);
}

static enum err write_tensor(const struct tensor *t, enum ggml_type type, const struct shape *s,
                             const bool *silent, struct chunk *c, FILE *file, struct error *error)
{
    uint64_t state = s->seed ^ hash_name(t->name);
    uint32_t per_chunk = CHUNK_FLOATS / t->row;

    for (uint32_t at = 0; at < t->rows;) {
        uint32_t n = t->rows - at < per_chunk ? t->rows - at : per_chunk;
        for (uint32_t i = 0; i < n; i++)
            fill_row(t, at + i, silent, s->scale, &state, c->rows + (size_t)i * t->row);
        size_t size = ggml_quantize_chunk(type, c->rows, c->bytes, 0, n, t->row, NULL);
        if (fwrite(c->bytes, 1, size, file) != size)
            return fail_sys(error, "cannot write tensor '%s'", t->name);
        at += n;
    }
    return OK;
}

enum err weights_write(const struct gguf_context *model, const struct shape *s, uint32_t n_tokens,
                       const bool *silent, FILE *file, struct error *error)
{
    CLEANUP(plan_done) struct plan plan = { 0 };
    CLEANUP(chunk_done)
    struct chunk chunk = { malloc(CHUNK_FLOATS * sizeof(float)),
                           malloc(CHUNK_FLOATS * sizeof(float)) };
    enum err e;

    if (!chunk.rows || !chunk.bytes)
        return fail_nomem(error);
    if ((e = plan_make(&plan, s, n_tokens, error)) != OK)
        return e;
    for (size_t i = 0; i < plan.n; i++) {
        enum ggml_type type = gguf_get_tensor_type(model, (int64_t)i);
        if (fseeko(file, (off_t)place_of(model, (int64_t)i), SEEK_SET) != 0)
            return fail_sys(error, "cannot seek to tensor '%s'", plan.tensors[i].name);
        e = write_tensor(&plan.tensors[i], type, s, silent, &chunk, file, error);
        if (e != OK)
            return e;
    }
    return OK;
}
