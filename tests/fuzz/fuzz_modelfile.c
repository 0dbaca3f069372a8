/*
 * What our reader takes for a model, ggml's reader takes, too, and both see the same
 * tensors in the same place.  (Not the other way round: ours is stricter.)
 */
#include "fuzz.h"

#include <gguf.h>
#include <string.h>

#include "llama/modelfile.h"

struct bytes {
    const uint8_t *at;
    size_t len;
};

static bool read_bytes(void *context, void *to, size_t n, uint64_t at)
{
    const struct bytes *file = context;
    REQUIRE(at <= file->len && n <= file->len - at);
    memcpy(to, file->at + at, n);
    return true;
}

static void expect_the_same(const struct bytes *file, const struct modelfile *ours)
{
    struct gguf_init_params params = { .no_alloc = true };
    struct gguf_context *theirs = gguf_init_from_buffer(file->at, file->len, params);
    REQUIRE(theirs != NULL);
    REQUIRE((uint64_t)gguf_get_n_tensors(theirs) == ours->tensors);
    uint64_t end = 0;
    for (int64_t i = 0; i < gguf_get_n_tensors(theirs); i++)
        end = gguf_get_tensor_offset(theirs, i) + gguf_get_tensor_size(theirs, i);
    REQUIRE(end == ours->data_bytes);
    if (ours->tensors > 0)
        REQUIRE(gguf_get_data_offset(theirs) == ours->data_at && ours->data_at + end <= file->len);
    gguf_free(theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct window w;
    struct bytes file = { data, size };
    struct modelfile m;
    struct error error;
    window_open(&w, read_bytes, &file, size);
    enum err e = modelfile_check(&w, &m, &error);
    REQUIRE(e == OK || (e == ERR_CONFIG && error.message[0]));
    if (e == OK)
        expect_the_same(&file, &m);
    return 0;
}
