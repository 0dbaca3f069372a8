/*
 * modelfile.c - the header, then the keys (metadata.c), then the tensors.
 *
 *     "GGUF"  u32 version  u64 tensors  u64 keys  keys...  tensors...  padding  numbers
 *     tensor: string name, u32 dimensions, u64 each, u32 type, u64 offset
 *
 * Offsets count from the end of the padding.  Each tensor begins where the one before
 * it ends, padded to the alignment; so they can't overlap and there are no holes.
 */
#include "modelfile.h"

#include <ggml.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "metadata.h"
#include "names.h"

enum {
    VERSION_LOWEST = 2,
    VERSION_HIGHEST = 3,
};

/* --- the header ------------------------------------------------------------ */

static enum err read_header(struct window *w, uint64_t *ret_tensors, uint64_t *ret_keys,
                            struct error *error)
{
    char magic[4];
    uint32_t version = 0;
    enum err e = window_take(w, magic, sizeof magic, error);
    if (e)
        return e;
    if (memcmp(magic, "GGUF", sizeof magic) != 0)
        return fail(error, ERR_CONFIG, "it is not a GGUF file: it does not begin with \"GGUF\"");
    e = window_u32(w, &version, error);
    if (!e && (version < VERSION_LOWEST || version > VERSION_HIGHEST))
        return fail(error, ERR_CONFIG, "it is a GGUF file of version %u; %d and %d can be read",
                    version, VERSION_LOWEST, VERSION_HIGHEST);
    if (!e)
        e = window_u64(w, ret_tensors, error);
    if (!e)
        e = window_u64(w, ret_keys, error);
    if (e)
        return e;
    if (*ret_tensors > MODELFILE_TENSORS_MAX || *ret_keys > MODELFILE_KEYS_MAX)
        return fail(error, ERR_CONFIG,
                    "it claims %" PRIu64 " keys and %" PRIu64
                    " tensors; at most %d and %d are read",
                    *ret_keys, *ret_tensors, MODELFILE_KEYS_MAX, MODELFILE_TENSORS_MAX);
    return OK;
}

/* --- one tensor ------------------------------------------------------------ */

struct tensor {
    char name[GGML_MAX_NAME];
    char shown[GGML_MAX_NAME]; /* harmless */
    uint64_t bytes;
    uint64_t offset;
};

static enum err read_tensor_name(struct window *w, struct tensor *t, struct error *error)
{
    uint64_t n = 0;
    w->about = "a tensor's name";
    enum err e = window_u64(w, &n, error);
    if (e)
        return e;
    if (n == 0 || n >= sizeof t->name)
        return fail(error, ERR_CONFIG,
                    "a tensor's name at byte %" PRIu64 " has %" PRIu64
                    " bytes; 1 to %zu are possible",
                    w->at, n, sizeof t->name - 1);
    e = window_take(w, t->name, (size_t)n, error);
    if (e)
        return e;
    t->name[n] = '\0';
    if (strlen(t->name) != n)
        return fail(error, ERR_CONFIG, "a tensor's name before byte %" PRIu64 " holds a NUL",
                    w->at);
    name_show(t->name, t->shown, sizeof t->shown);
    return OK;
}

static enum err too_large(const struct tensor *t, struct error *error)
{
    return fail(error, ERR_CONFIG, "tensor '%s' is larger than any file", t->shown);
}

static enum err read_dimensions(struct window *w, const struct tensor *t, int64_t *ret,
                                struct error *error)
{
    uint32_t n = 0;
    int64_t elements = 1;
    enum err e = window_u32(w, &n, error);
    if (!e && n > GGML_MAX_DIMS)
        return fail(error, ERR_CONFIG, "tensor '%s' has %u dimensions; at most %d are possible",
                    t->shown, n, GGML_MAX_DIMS);
    for (uint32_t i = 0; !e && i < GGML_MAX_DIMS; i++) {
        uint64_t length = 1;
        if (i < n)
            e = window_u64(w, &length, error);
        if (!e && length == 0)
            return fail(error, ERR_CONFIG, "tensor '%s' has a dimension of 0", t->shown);
        if (!e &&
            (length > INT64_MAX || __builtin_mul_overflow(elements, (int64_t)length, &elements)))
            return too_large(t, error);
        ret[i] = (int64_t)length;
    }
    return e;
}

/* Types that ggml has removed keep their numbers, with blocks of nothing. */
static enum err measure(struct tensor *t, uint32_t type, const int64_t *dimensions,
                        struct error *error)
{
    int64_t block = type < GGML_TYPE_COUNT ? ggml_blck_size((enum ggml_type)type) : 0;
    uint64_t bytes = block > 0 ? ggml_type_size((enum ggml_type)type) : 0;
    if (bytes == 0)
        return fail(error, ERR_CONFIG, "tensor '%s' is of a type (%u) that does not exist",
                    t->shown, type);
    if (dimensions[0] % block != 0)
        return fail(error, ERR_CONFIG,
                    "tensor '%s' has rows of %" PRIi64 " numbers, in blocks of %" PRIi64, t->shown,
                    dimensions[0], block);
    if (__builtin_mul_overflow(bytes, (uint64_t)(dimensions[0] / block), &bytes))
        return too_large(t, error);
    for (int i = 1; i < GGML_MAX_DIMS; i++)
        if (__builtin_mul_overflow(bytes, (uint64_t)dimensions[i], &bytes))
            return too_large(t, error);
    t->bytes = bytes;
    return OK;
}

static enum err read_tensor(struct window *w, struct tensor *t, struct error *error)
{
    int64_t dimensions[GGML_MAX_DIMS] = { 0 };
    uint32_t type = 0;
    enum err e = read_tensor_name(w, t, error);
    w->about = "the list of tensors";
    if (!e)
        e = read_dimensions(w, t, dimensions, error);
    if (!e)
        e = window_u32(w, &type, error);
    if (!e)
        e = measure(t, type, dimensions, error);
    return e ? e : window_u64(w, &t->offset, error);
}

/* --- all tensors ----------------------------------------------------------- */

/* Up to the next multiple of `alignment`, a power of two; false if there is none. */
static bool pad(uint64_t n, uint64_t alignment, uint64_t *ret)
{
    return !__builtin_add_overflow(n, alignment - 1, ret) && (*ret &= ~(alignment - 1), true);
}

/* Where tensors lie; the end of the last is not padded. */
struct extent {
    uint64_t next; /* where the next tensor has to begin */
    uint64_t end;
    char last[GGML_MAX_NAME]; /* the one that ends there */
};

static enum err append(struct extent *x, const struct tensor *t, uint64_t alignment,
                       struct error *error)
{
    if (t->offset != x->next)
        return fail(error, ERR_CONFIG,
                    "tensor '%s' is at %" PRIu64 "; where the one before it ends is %" PRIu64,
                    t->shown, t->offset, x->next);
    if (__builtin_add_overflow(t->offset, t->bytes, &x->end) || !pad(x->end, alignment, &x->next))
        return too_large(t, error);
    memcpy(x->last, t->shown, sizeof x->last);
    return OK;
}

static enum err read_tensors(struct window *w, uint64_t n, uint64_t alignment, struct extent *x,
                             struct error *error)
{
    CLEANUP(names_done) struct names names = { 0 };
    struct tensor t;
    enum err e = OK;
    for (uint64_t i = 0; !e && i < n; i++) {
        e = read_tensor(w, &t, error);
        if (!e && names_add(&names, name_hash(NAME_HASH_INIT, t.name, strlen(t.name))))
            e = fail_nomem(error);
        if (!e)
            e = append(x, &t, alignment, error);
    }
    if (!e && names_repeat(&names))
        return fail(error, ERR_CONFIG, "it has two tensors of the same name");
    return e;
}

enum err modelfile_check(struct window *w, struct modelfile *ret, struct error *error)
{
    struct metadata m = { 0 };
    struct extent x = { 0 };
    uint64_t n_tensors = 0, n_keys = 0, data_at = 0, end = 0;
    enum err e = read_header(w, &n_tensors, &n_keys, error);
    if (!e)
        e = metadata_read(w, n_keys, &m, error);
    if (!e)
        e = read_tensors(w, n_tensors, m.alignment, &x, error);
    if (e)
        return e;
    if (n_tensors > 0 && (!pad(w->at, m.alignment, &data_at) ||
                          __builtin_add_overflow(data_at, x.end, &end) || end > w->size))
        return fail(error, ERR_CONFIG,
                    "the file has %" PRIu64 " bytes; tensor '%s' would end at %" PRIu64, w->size,
                    x.last, end);
    *ret = (struct modelfile){
        .measures = m.measures, .tensors = n_tensors, .data_at = data_at, .data_bytes = x.end
    };
    return OK;
}
