/*
 * Promises of engines/llama/modelfile.c.
 *
 * A model is put together in memory from the pieces of `struct plan`; each test says in
 * which piece it differs from one that is fine.
 */
#include "llama/modelfile.h"

#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <ggml.h>
#include <gguf.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"

/* --- files in memory ------------------------------------------------------- */

static bool read_memory(void *context, void *to, size_t n, uint64_t at)
{
    const struct buf *file = context;
    assert_true(at <= file->len && n <= file->len - at); /* never beyond the end */
    memcpy(to, file->at + at, n);
    return true;
}

static enum err inspect(struct buf *file, struct modelfile *ret, struct error *error)
{
    static struct window w;
    window_open(&w, read_memory, file, file->len);
    return modelfile_check(&w, ret, error);
}

static void put(struct buf *b, const void *bytes, size_t n)
{
    assert_int_equal(buf_append(b, bytes, n), OK);
}

static void put_u32(struct buf *b, uint32_t n)
{
    put(b, &n, sizeof n);
}

static void put_u64(struct buf *b, uint64_t n)
{
    put(b, &n, sizeof n);
}

static void put_bytes(struct buf *b, const char *bytes, size_t n)
{
    put_u64(b, n);
    put(b, bytes, n);
}

static void put_text(struct buf *b, const char *text)
{
    put_bytes(b, text, strlen(text));
}

static void key_text(struct buf *b, const char *name, const char *value)
{
    put_text(b, name);
    put_u32(b, GGUF_TYPE_STRING);
    put_text(b, value);
}

static void key_u32(struct buf *b, const char *name, uint32_t value)
{
    put_text(b, name);
    put_u32(b, GGUF_TYPE_UINT32);
    put_u32(b, value);
}

static void key_array(struct buf *b, const char *name, uint32_t type, uint64_t n)
{
    put_text(b, name);
    put_u32(b, GGUF_TYPE_ARRAY);
    put_u32(b, type);
    put_u64(b, n);
}

static void tensor(struct buf *b, const char *name, uint32_t type, uint64_t width, uint64_t rows,
                   uint64_t offset)
{
    put_text(b, name);
    put_u32(b, 2);
    put_u64(b, width);
    put_u64(b, rows);
    put_u32(b, type);
    put_u64(b, offset);
}

/* --- a model --------------------------------------------------------------- */

struct plan {
    const char *magic;
    uint32_t version;
    uint64_t n_tensors, n_keys;
    struct buf keys; /* behind the usual ones */
    struct buf tensors;
    uint64_t data; /* bytes of them */
};

static struct plan plan;

static int fresh(void **state UNUSED)
{
    plan = (struct plan){ .magic = "GGUF", .version = 3 };
    buf_init(&plan.keys, (size_t)256 * 1024 * 1024);
    buf_init(&plan.tensors, (size_t)16 * 1024 * 1024);
    return 0;
}

static int forget(void **state UNUSED)
{
    buf_done(&plan.keys);
    buf_done(&plan.tensors);
    return 0;
}

/* Two layers, and one tensor of 2 x 32 numbers in 68 bytes if there are no others. */
static struct buf build(uint64_t more_keys)
{
    struct buf file;
    buf_init(&file, (size_t)512 * 1024 * 1024);
    if (!plan.tensors.len) {
        tensor(&plan.tensors, "token_embd.weight", GGML_TYPE_Q8_0, 32, 2, 0);
        plan.n_tensors += 1;
        plan.data = 68;
    }
    put(&file, plan.magic, 4);
    put_u32(&file, plan.version);
    put_u64(&file, plan.n_tensors);
    put_u64(&file, plan.n_keys + more_keys + 4);
    key_text(&file, "general.architecture", "llama");
    key_u32(&file, "llama.block_count", 2);
    key_u32(&file, "llama.embedding_length", 32);
    key_u32(&file, "llama.context_length", 100);
    put(&file, plan.keys.at ? plan.keys.at : "", plan.keys.len);
    put(&file, plan.tensors.at, plan.tensors.len);
    while (file.len % 32)
        put(&file, "", 1);
    assert_int_equal(buf_reserve(&file, plan.data), OK);
    memset(file.at + file.len, 0, plan.data);
    file.len += plan.data;
    return file;
}

static void expect_fine(uint64_t more_keys)
{
    struct buf file = build(more_keys);
    struct modelfile m;
    struct error error;
    if (inspect(&file, &m, &error))
        fail_msg("%s", error.message);
    buf_done(&file);
}

/* `words`: what the sentence has to say. */
static void expect_refused(uint64_t more_keys, const char *words)
{
    struct buf file = build(more_keys);
    struct modelfile m;
    struct error error = { 0 };
    enum err e = inspect(&file, &m, &error);
    buf_done(&file);
    if (e != ERR_CONFIG || !strstr(error.message, words))
        fail_msg("'%s' does not say '%s'", e ? error.message : "fine", words);
}

/* --- what is fine ---------------------------------------------------------- */

static void a_small_model_says_its_measures(void **state UNUSED)
{
    key_u32(&plan.keys, "llama.attention.head_count", 4);
    key_array(&plan.keys, "llama.attention.head_count_kv", GGUF_TYPE_UINT32, 2);
    put_u32(&plan.keys, 3);
    put_u32(&plan.keys, 0);
    key_array(&plan.keys, "tokenizer.ggml.tokens", GGUF_TYPE_STRING, 3);
    put_text(&plan.keys, "a");
    put_text(&plan.keys, "");
    put_text(&plan.keys, "b");
    struct buf file = build(3);
    struct modelfile m;
    assert_int_equal(inspect(&file, &m, NULL), OK);
    assert_string_equal(m.measures.architecture, "llama");
    assert_int_equal(m.measures.layers, 2);
    assert_int_equal(m.measures.heads, 4);
    assert_int_equal(m.measures.kv_heads, 3);
    assert_int_equal(m.measures.vocabulary, 3);
    assert_int_equal(m.tensors, 1);
    assert_int_equal(m.data_bytes, 68);
    assert_int_equal(m.data_at + m.data_bytes, file.len);
    buf_done(&file);
}

static void heads_of_keys_are_heads_unless_it_says_otherwise(void **state UNUSED)
{
    key_u32(&plan.keys, "llama.attention.head_count", 4);
    struct buf file = build(1);
    struct modelfile m;
    assert_int_equal(inspect(&file, &m, NULL), OK);
    assert_int_equal(m.measures.kv_heads, 8);
    buf_done(&file);
}

static void keys_that_nobody_knows_are_fine(void **state UNUSED)
{
    key_text(&plan.keys, "somebody.block_counter", "many");
    key_u32(&plan.keys, "x", 7);
    key_array(&plan.keys, "y.z", GGUF_TYPE_FLOAT64, 3);
    put(&plan.keys, "012345670123456701234567", 24);
    expect_fine(3);
}

static void tensors_lie_one_behind_the_other(void **state UNUSED)
{
    tensor(&plan.tensors, "a", GGML_TYPE_Q8_0, 32, 2, 0);
    tensor(&plan.tensors, "b", GGML_TYPE_F32, 3, 1, 96);
    tensor(&plan.tensors, "c", GGML_TYPE_F32, 1, 1, 128);
    plan.n_tensors = 3;
    plan.data = 132;
    expect_fine(0);
    plan.data = 131;
    expect_refused(0, "'c'");
}

static enum err inspect_path(const char *path, struct error *error)
{
    static struct window w;
    struct modelfile m;
    struct stat st;
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    window_open(&w, window_read_fd, &fd, (uint64_t)st.st_size);
    return modelfile_check(&w, &m, error);
}

static void every_vocabulary_of_llama_cpp_is_fine(void **state UNUSED)
{
    DIR *d = opendir(LLAMA_SOURCE "/models");
    assert_non_null(d);
    unsigned n = 0;
    for (struct dirent *entry; (entry = readdir(d));) {
        size_t len = strlen(entry->d_name);
        char path[512];
        struct error error;
        if (len < 5 || strcmp(entry->d_name + len - 5, ".gguf") != 0)
            continue;
        snprintf(path, sizeof path, LLAMA_SOURCE "/models/%s", entry->d_name);
        if (inspect_path(path, &error))
            fail_msg("%s: %s", path, error.message);
        n++;
    }
    closedir(d);
    assert_true(n > 15);
}

static void the_model_that_ships_is_fine(void **state UNUSED)
{
    struct error error;
    if (inspect_path(BUILTIN_MODEL, &error))
        fail_msg("%s", error.message);
}

/* --- what is not ----------------------------------------------------------- */

static void other_files_and_versions(void **state UNUSED)
{
    plan.magic = "GGML";
    expect_refused(0, "not a GGUF file");
    plan.magic = "GGUF";
    plan.version = 1;
    expect_refused(0, "version 1");
    plan.version = 4;
    expect_refused(0, "version 4");
    plan.version = 0x03000000; /* of a machine of the other byte order */
    expect_refused(0, "version 50331648");
}

static void counts_that_are_absurd(void **state UNUSED)
{
    plan.n_keys = 4093;
    expect_refused(0, "4097 keys");
    plan.n_keys = UINT64_MAX - 4;
    expect_refused(0, "18446744073709551615 keys");
    plan.n_keys = 0;
    plan.n_tensors = UINT64_MAX / 2;
    expect_refused(0, "tensors");
    plan.n_tensors = 1;
    expect_refused(1, "bytes"); /* a key more than there are: a tensor is read as one */
}

static void names_that_are_none(void **state UNUSED)
{
    put_text(&plan.keys, "");
    expect_refused(1, "0 bytes");
    buf_clear(&plan.keys);
    put_u64(&plan.keys, UINT64_MAX);
    expect_refused(1, "18446744073709551615 bytes");
    buf_clear(&plan.keys);
    put_bytes(&plan.keys, "a\0b", 3);
    expect_refused(1, "holds a NUL");
}

static void the_same_key_twice(void **state UNUSED)
{
    key_u32(&plan.keys, "llama.block_count", 2);
    expect_refused(1, "same key twice");
}

static void a_name_is_shown_harmless(void **state UNUSED)
{
    put_text(&plan.keys, "\x1b[2J\xff");
    put_u32(&plan.keys, 77);
    expect_refused(1, "'?[2J?'");
}

static void texts_that_are_too_long(void **state UNUSED)
{
    put_text(&plan.keys, "x");
    put_u32(&plan.keys, GGUF_TYPE_STRING);
    put_u64(&plan.keys, UINT64_MAX);
    expect_refused(1, "at most 67108864");
    buf_clear(&plan.keys);
    put_text(&plan.keys, "x");
    put_u32(&plan.keys, GGUF_TYPE_STRING);
    put_u64(&plan.keys, 67108864);
    expect_refused(1, "the file ends too early: the value of 'x'");
}

static void arrays_that_are_too_long(void **state UNUSED)
{
    key_array(&plan.keys, "x", GGUF_TYPE_UINT8, 16777217);
    expect_refused(1, "16777217 elements");
    buf_clear(&plan.keys);
    key_array(&plan.keys, "x", GGUF_TYPE_UINT64, UINT64_MAX / 8 + 2);
    expect_refused(1, "elements");
    buf_clear(&plan.keys);
    key_array(&plan.keys, "tokenizer.ggml.tokens", GGUF_TYPE_STRING, 4194305);
    expect_refused(1, "at most 4194304");
}

static void arrays_that_are_too_long_together(void **state UNUSED)
{
    enum { EACH = 6 * 1024 * 1024 };
    static char zeros[EACH];
    static const char *const names[] = { "a", "b", "c" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        key_array(&plan.keys, names[i], GGUF_TYPE_INT8, EACH);
        put(&plan.keys, zeros, EACH);
    }
    expect_refused(3, "'c'");
}

static void arrays_of_arrays_and_types_that_do_not_exist(void **state UNUSED)
{
    key_array(&plan.keys, "x", GGUF_TYPE_ARRAY, 1);
    expect_refused(1, "type (9)");
    buf_clear(&plan.keys);
    put_text(&plan.keys, "x");
    put_u32(&plan.keys, 13);
    expect_refused(1, "type (13)");
    buf_clear(&plan.keys);
    put_text(&plan.keys, "x");
    put_u32(&plan.keys, UINT32_MAX);
    expect_refused(1, "type (4294967295)");
}

static void known_keys_of_other_types(void **state UNUSED)
{
    static const char *const texts[] = { "llama.attention.head_count", "tokenizer.ggml.tokens",
                                         "tokenizer.ggml.scores", "general.alignment" };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        buf_clear(&plan.keys);
        key_text(&plan.keys, texts[i], "7");
        expect_refused(1, texts[i]);
    }
    buf_clear(&plan.keys);
    key_u32(&plan.keys, "tokenizer.chat_template", 7);
    expect_refused(1, "tokenizer.chat_template");
    buf_clear(&plan.keys);
    key_array(&plan.keys, "tokenizer.ggml.token_type", GGUF_TYPE_INT8, 0);
    expect_refused(1, "tokenizer.ggml.token_type");
}

static void measures_out_of_range(void **state UNUSED)
{
    key_u32(&plan.keys, "gpt2.block_count", 0);
    expect_refused(1, "1 to 512");
    buf_clear(&plan.keys);
    key_u32(&plan.keys, "gpt2.block_count", 513);
    expect_refused(1, "1 to 512");
    buf_clear(&plan.keys);
    key_array(&plan.keys, "llama.attention.head_count_kv", GGUF_TYPE_INT32, 2);
    put_u32(&plan.keys, 1);
    put_u32(&plan.keys, (uint32_t)-1);
    expect_refused(1, "llama.attention.head_count_kv");
}

static void numbers_that_are_turned_without_a_pair(void **state UNUSED)
{
    key_u32(&plan.keys, "llama.rope.dimension_count", 0);
    expect_refused(1, "llama.rope.dimension_count");
    buf_clear(&plan.keys);
    key_u32(&plan.keys, "llama.rope.dimension_count", 7);
    expect_refused(1, "7 numbers");
    buf_clear(&plan.keys);
    key_u32(&plan.keys, "llama.attention.head_count", 4);
    key_u32(&plan.keys, "llama.rope.dimension_count", 8);
    expect_fine(2);
    buf_clear(&plan.keys);
    key_u32(&plan.keys, "llama.attention.head_count", 4);
    key_u32(&plan.keys, "llama.rope.dimension_count", 10);
    expect_refused(2, "of 8");
}

static void epsilons_that_are_none(void **state UNUSED)
{
    static const struct {
        float value;
        bool fine;
    } cases[] = { { 1e-5f, true }, { 0, true },    { -1e-5f, false },
                  { 2, false },    { NAN, false }, { INFINITY, false } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_clear(&plan.keys);
        put_text(&plan.keys, "llama.attention.layer_norm_rms_epsilon");
        put_u32(&plan.keys, GGUF_TYPE_FLOAT32);
        put(&plan.keys, &cases[i].value, sizeof cases[i].value);
        if (cases[i].fine)
            expect_fine(1);
        else
            expect_refused(1, "layer_norm_rms_epsilon");
    }
}

static void arrays_per_layer_that_are_not(void **state UNUSED)
{
    key_array(&plan.keys, "llama.feed_forward_length", GGUF_TYPE_UINT32, 1);
    put_u32(&plan.keys, 100);
    expect_refused(1, "2 layers");
}

static void measures_of_somebody_else(void **state UNUSED)
{
    struct buf file;
    buf_init(&file, 4096);
    put(&file, "GGUF", 4);
    put_u32(&file, 3);
    put_u64(&file, 0);
    put_u64(&file, 2);
    key_u32(&file, "gpt2.block_count", 2);
    key_text(&file, "general.architecture", "llama");
    struct modelfile m;
    struct error error;
    assert_int_equal(inspect(&file, &m, &error), ERR_CONFIG);
    assert_non_null(strstr(error.message, "'gpt2'"));
    buf_done(&file);
}

static void words_that_are_there_twice(void **state UNUSED)
{
    key_array(&plan.keys, "tokenizer.ggml.tokens", GGUF_TYPE_STRING, 3);
    put_text(&plan.keys, "a");
    put_text(&plan.keys, "b");
    put_text(&plan.keys, "a");
    expect_refused(1, "same word twice");
}

static void templates_that_are_too_long_or_too_deep(void **state UNUSED)
{
    put_text(&plan.keys, "tokenizer.chat_template.tools");
    put_u32(&plan.keys, GGUF_TYPE_STRING);
    put_u64(&plan.keys, 1024 * 1024 + 1);
    expect_refused(1, "1048577 bytes");
    buf_clear(&plan.keys);
    char deep[1000];
    memset(deep, '(', sizeof deep);
    memcpy(deep, "{{", 2);
    put_text(&plan.keys, "tokenizer.chat_template");
    put_u32(&plan.keys, GGUF_TYPE_STRING);
    put_bytes(&plan.keys, deep, sizeof deep);
    expect_refused(1, "nested deeper than 128");
}

static void alignments_that_are_none(void **state UNUSED)
{
    static const uint32_t wrong[] = { 0, 1, 16, 48, 1 << 17, UINT32_MAX };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        buf_clear(&plan.keys);
        key_u32(&plan.keys, "general.alignment", wrong[i]);
        expect_refused(1, "general.alignment");
    }
}

static void parts_of_models(void **state UNUSED)
{
    put_text(&plan.keys, "split.count");
    put_u32(&plan.keys, GGUF_TYPE_UINT16);
    put(&plan.keys, "\3", 2);
    expect_refused(1, "one of 3 parts");
}

static void expect_tensor_refused(const char *words)
{
    plan.n_tensors = 1;
    plan.data = 1000;
    expect_refused(0, words);
    buf_clear(&plan.tensors);
}

static void tensors_that_can_not_be(void **state UNUSED)
{
    tensor(&plan.tensors, "x", GGML_TYPE_F32, 0, 1, 0);
    expect_tensor_refused("dimension of 0");
    tensor(&plan.tensors, "x", GGML_TYPE_F32, UINT64_MAX, 1, 0);
    expect_tensor_refused("larger than any file");
    tensor(&plan.tensors, "x", GGML_TYPE_F32, UINT64_C(1) << 32, UINT64_C(1) << 31, 0);
    expect_tensor_refused("larger than any file");
    tensor(&plan.tensors, "x", GGML_TYPE_F64, UINT64_C(1) << 31, UINT64_C(1) << 31, 0);
    expect_tensor_refused("larger than any file");
    tensor(&plan.tensors, "x", GGML_TYPE_F32, UINT64_C(1) << 30, UINT64_C(1) << 30, 0);
    expect_tensor_refused("would end at");
    tensor(&plan.tensors, "x", GGML_TYPE_Q8_0, 33, 1, 0);
    expect_tensor_refused("blocks of 32");
    tensor(&plan.tensors, "x", GGML_TYPE_COUNT, 32, 1, 0);
    expect_tensor_refused("does not exist");
    tensor(&plan.tensors, "x", 4, 32, 1, 0); /* Q4_2, removed */
    expect_tensor_refused("does not exist");
    tensor(&plan.tensors, "", GGML_TYPE_F32, 32, 1, 0);
    expect_tensor_refused("0 bytes");
    tensor(&plan.tensors, "0123456789012345678901234567890123456789012345678901234567890123",
           GGML_TYPE_F32, 32, 1, 0);
    expect_tensor_refused("64 bytes");
    put_text(&plan.tensors, "x");
    put_u32(&plan.tensors, 5);
    expect_tensor_refused("5 dimensions");
}

static void tensors_that_overlap_or_leave_holes(void **state UNUSED)
{
    tensor(&plan.tensors, "x", GGML_TYPE_F32, 32, 1, 32);
    expect_tensor_refused("'x' is at 32");
    static const uint64_t wrong[] = { 0, 64, 160, UINT64_MAX - 31 };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        tensor(&plan.tensors, "x", GGML_TYPE_F32, 32, 1, 0);
        tensor(&plan.tensors, "y", GGML_TYPE_F32, 32, 1, wrong[i]);
        plan.n_tensors = 2;
        plan.data = 1000;
        expect_refused(0, "'y' is at");
        buf_clear(&plan.tensors);
    }
}

static void two_tensors_of_one_name(void **state UNUSED)
{
    tensor(&plan.tensors, "x", GGML_TYPE_F32, 32, 1, 0);
    tensor(&plan.tensors, "x", GGML_TYPE_F32, 32, 1, 128);
    plan.n_tensors = 2;
    plan.data = 256;
    expect_refused(0, "same name");
}

static void half_a_file(void **state UNUSED)
{
    struct buf file = build(0);
    struct modelfile m;
    for (size_t n = 0; n < file.len; n++) {
        struct error error;
        struct buf half = { .at = malloc(n + (n == 0)), .len = n }; /* a sanitizer sees its end */
        assert_non_null(half.at);
        memcpy(half.at, file.at, n);
        assert_int_equal(inspect(&half, &m, &error), ERR_CONFIG);
        free(half.at);
    }
    buf_done(&file);
}

/* --- chance ---------------------------------------------------------------- */

static uint32_t chance(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Whatever is in the file, it ends and reads no byte outside. */
static void bits_that_flip(void **state UNUSED)
{
    enum { ROUNDS = 20000 };
    key_u32(&plan.keys, "llama.attention.head_count", 4);
    key_array(&plan.keys, "tokenizer.ggml.tokens", GGUF_TYPE_STRING, 3);
    put_text(&plan.keys, "a");
    put_text(&plan.keys, "b");
    put_text(&plan.keys, "c");
    key_text(&plan.keys, "tokenizer.chat_template", "{% if x %}{{ x['y'] }}{% endif %}");
    struct buf file = build(3);
    uint32_t seed = 1;
    unsigned fine = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct modelfile m;
        size_t at[4];
        unsigned char was[4];
        unsigned n = 1 + chance(&seed) % 4;
        for (unsigned j = 0; j < n; j++) {
            at[j] = chance(&seed) % file.len;
            was[j] = (unsigned char)file.at[at[j]];
            file.at[at[j]] = (char)(was[j] ^ 1u << chance(&seed) % 8);
        }
        enum err e = inspect(&file, &m, NULL);
        assert_true(e == OK || e == ERR_CONFIG);
        fine += e == OK;
        while (n-- > 0)
            file.at[at[n]] = (char)was[n];
    }
    assert_true(fine > 0 && fine < ROUNDS / 2);
    buf_done(&file);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, forget)
    const struct CMUnitTest tests[] = {
        TEST(a_small_model_says_its_measures),
        TEST(heads_of_keys_are_heads_unless_it_says_otherwise),
        TEST(keys_that_nobody_knows_are_fine),
        TEST(tensors_lie_one_behind_the_other),
        TEST(every_vocabulary_of_llama_cpp_is_fine),
        TEST(the_model_that_ships_is_fine),
        TEST(other_files_and_versions),
        TEST(counts_that_are_absurd),
        TEST(names_that_are_none),
        TEST(the_same_key_twice),
        TEST(a_name_is_shown_harmless),
        TEST(texts_that_are_too_long),
        TEST(arrays_that_are_too_long),
        TEST(arrays_that_are_too_long_together),
        TEST(arrays_of_arrays_and_types_that_do_not_exist),
        TEST(known_keys_of_other_types),
        TEST(measures_out_of_range),
        TEST(numbers_that_are_turned_without_a_pair),
        TEST(epsilons_that_are_none),
        TEST(arrays_per_layer_that_are_not),
        TEST(measures_of_somebody_else),
        TEST(words_that_are_there_twice),
        TEST(templates_that_are_too_long_or_too_deep),
        TEST(alignments_that_are_none),
        TEST(parts_of_models),
        TEST(tensors_that_can_not_be),
        TEST(tensors_that_overlap_or_leave_holes),
        TEST(two_tensors_of_one_name),
        TEST(half_a_file),
        TEST(bits_that_flip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
