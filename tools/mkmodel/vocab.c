/*
 * vocab.c - metadata under "tokenizer.".
 *
 * The byte vocabulary is a byte-level BPE without merges.  Such tokenizers write
 * a byte as a visible character: most of Latin-1 stands for itself, the 68 other
 * bytes for U+0100 and up, in order.  Token N is byte N; the control tokens come
 * after.
 */
#include "vocab.h"

#include <limits.h>
#include <llama.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

#define KEY_TOKENS   "tokenizer.ggml.tokens"
#define KEY_TEMPLATE "tokenizer.chat_template"

enum { TEMPLATE_MAX = 1 << 20 };

enum { BYTES = 256, END_OF_TEXT = BYTES, TURN_START, TURN_END, BYTE_TOKENS };

static const char chatml[] =
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}"
    "{{ '<|im_start|>assistant\\n' }}"
    "{%- endif -%}";

/* The visible character of each byte, as UTF-8. */
static void byte_symbols(char ret[BYTES][3])
{
    unsigned shifted = 0x100;
    for (unsigned b = 0; b < BYTES; b++) {
        bool visible = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b != 0xad);
        unsigned c = visible ? b : shifted++;
        if (c < 0x80)
            snprintf(ret[b], 3, "%c", (char)c);
        else
            snprintf(ret[b], 3, "%c%c", (char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f)));
    }
}

static void put_bytes(struct gguf_context *model)
{
    char symbols[BYTES][3];
    const char *tokens[BYTE_TOKENS] = {
        [END_OF_TEXT] = "<|endoftext|>",
        [TURN_START] = "<|im_start|>",
        [TURN_END] = "<|im_end|>",
    };
    int32_t types[BYTE_TOKENS];

    byte_symbols(symbols);
    for (unsigned i = 0; i < BYTE_TOKENS; i++) {
        if (i < BYTES)
            tokens[i] = symbols[i];
        types[i] = i < BYTES ? LLAMA_TOKEN_TYPE_NORMAL : LLAMA_TOKEN_TYPE_CONTROL;
    }
    gguf_set_val_str(model, "tokenizer.ggml.model", "gpt2");
    gguf_set_val_str(model, "tokenizer.ggml.pre", "gpt-2");
    gguf_set_arr_str(model, KEY_TOKENS, tokens, BYTE_TOKENS);
    gguf_set_arr_data(model, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types, BYTE_TOKENS);
    gguf_set_arr_str(model, "tokenizer.ggml.merges", NULL, 0);
    gguf_set_val_bool(model, "tokenizer.ggml.add_bos_token", false);
    gguf_set_val_u32(model, "tokenizer.ggml.bos_token_id", END_OF_TEXT);
    gguf_set_val_u32(model, "tokenizer.ggml.eos_token_id", END_OF_TEXT);
    gguf_set_val_u32(model, "tokenizer.ggml.eot_token_id", TURN_END);
}

static void drop_gguf(struct gguf_context **g)
{
    gguf_free(*g);
}

static bool has_tokens(const struct gguf_context *g)
{
    int64_t key = gguf_find_key(g, KEY_TOKENS);
    return key >= 0 && gguf_get_kv_type(g, key) == GGUF_TYPE_ARRAY &&
           gguf_get_arr_type(g, key) == GGUF_TYPE_STRING && gguf_get_arr_n(g, key) > 0 &&
           gguf_get_arr_n(g, key) <= INT32_MAX;
}

static enum err put_file(struct gguf_context *model, const char *path, struct error *error)
{
    struct gguf_init_params params = { .no_alloc = true };
    CLEANUP(drop_gguf) struct gguf_context *file = gguf_init_from_file(path, params);
    if (!file)
        return fail(error, ERR_CONFIG, "'%s' is not there or is no GGUF file", path);
    if (!has_tokens(file))
        return fail(error, ERR_CONFIG, "'%s' holds no vocabulary", path);

    for (int64_t i = gguf_get_n_kv(file) - 1; i >= 0; i--)
        if (strncmp(gguf_get_key(file, i), "tokenizer.", strlen("tokenizer.")) != 0)
            gguf_remove_key(file, gguf_get_key(file, i));
    gguf_set_kv(model, file);
    return OK;
}

enum err vocab_put(struct gguf_context *model, const char *name, const char *directory,
                   struct error *error)
{
    char path[PATH_MAX];

    if (strcmp(name, VOCAB_BYTES) == 0) {
        put_bytes(model);
        return OK;
    }
    if (snprintf(path, sizeof path, "%s/ggml-vocab-%s.gguf", directory, name) >= (int)sizeof path)
        return fail(error, ERR_CONFIG, "the path of vocabulary '%s' is too long", name);
    return put_file(model, path, error);
}

uint32_t vocab_size(const struct gguf_context *model)
{
    return (uint32_t)gguf_get_arr_n(model, gguf_find_key(model, KEY_TOKENS));
}

enum err vocab_put_template(struct gguf_context *model, const char *which, struct error *error)
{
    CLEANUP(free_ptr) char *text = NULL;
    size_t len;
    enum err e;

    if (!which) {
        if (gguf_find_key(model, KEY_TEMPLATE) < 0)
            gguf_set_val_str(model, KEY_TEMPLATE, chatml);
    } else if (strcmp(which, "none") == 0) {
        gguf_remove_key(model, KEY_TEMPLATE);
    } else if (strcmp(which, "chatml") == 0) {
        gguf_set_val_str(model, KEY_TEMPLATE, chatml);
    } else {
        if ((e = file_read(which, TEMPLATE_MAX, &text, &len, error)) != OK)
            return e;
        if (strlen(text) != len)
            return fail(error, ERR_CONFIG, "the chat template '%s' holds a NUL", which);
        gguf_set_val_str(model, KEY_TEMPLATE, text);
    }
    return OK;
}

static void drop_model(struct llama_model **m)
{
    llama_model_free(*m);
}

enum err vocab_find_silent(const char *path, uint32_t n, bool **ret_silent, struct error *error)
{
    struct llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    CLEANUP(drop_model) struct llama_model *model = llama_model_load_from_file(path, params);
    if (!model)
        return fail(error, ERR_CONFIG, "libllama cannot use this vocabulary");

    bool *silent = calloc(n, sizeof *silent);
    if (!silent)
        return fail_nomem(error);
    const struct llama_vocab *vocab = llama_model_get_vocab(model);
    for (uint32_t i = 0; i < n; i++)
        silent[i] = llama_vocab_is_eog(vocab, (llama_token)i) ||
                    llama_vocab_is_control(vocab, (llama_token)i);
    *ret_silent = silent;
    return OK;
}
