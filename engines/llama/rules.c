/*
 * rules.c - one table; the first row that fits counts.
 */
#include "rules.h"

#include <gguf.h>
#include <string.h>

#include "base/base.h"
#include "modelfile.h"

#define BIT(type) (1u << GGUF_TYPE_##type)
#define COUNTS    (BIT(UINT32) | BIT(INT32))

/* clang-format off */
static const struct rule rules[] = {
    { "general.architecture",               BIT(STRING), 0, 0, 0, USE_ARCHITECTURE },
    { "general.alignment",                  BIT(UINT32), 0, MODELFILE_ALIGNMENT_LEAST,
                                            MODELFILE_ALIGNMENT_MOST, USE_ALIGNMENT },
    { "general.name",                       BIT(STRING), 0, 0, 0, USE_NONE },
    { "general.file_type",                  BIT(UINT32), 0, 0, UINT32_MAX, USE_NONE },
    { "split.no",                           BIT(UINT16), 0, 0, UINT16_MAX, USE_NONE },
    { "split.count",                        BIT(UINT16), 0, 0, UINT16_MAX, USE_SPLIT_COUNT },
    { "tokenizer.ggml.model",               BIT(STRING), 0, 0, 0, USE_NONE },
    { "tokenizer.ggml.pre",                 BIT(STRING), 0, 0, 0, USE_NONE },
    { "tokenizer.ggml.tokens",              0, BIT(STRING), 0, 0, USE_WORDS },
    { "tokenizer.ggml.merges",              0, BIT(STRING), 0, 0, USE_NONE },
    { "tokenizer.ggml.scores",              0, BIT(FLOAT32) | BIT(INT32), 0, 0, USE_NONE },
    { "tokenizer.ggml.token_type",          0, BIT(INT32), 0, 0, USE_NONE },
    { "tokenizer.ggml.suppress_tokens",     0, BIT(INT32), 0, 0, USE_NONE },
    { "tokenizer.ggml.precompiled_charsmap", 0, BIT(UINT8) | BIT(INT8), 0, 0, USE_NONE },
    { "tokenizer.chat_template*",           BIT(STRING), BIT(STRING), 0, 0, USE_TEMPLATE },
    { "*.block_count",                      BIT(UINT32), 0, 1, MODELFILE_LAYERS_MAX, USE_LAYERS },
    { "*.context_length",                   BIT(UINT32), 0, 1, INT32_MAX, USE_CONTEXT },
    { "*.embedding_length",                 BIT(UINT32), 0, 1, 1 << 20, USE_WIDTH },
    { "*.feed_forward_length",              BIT(UINT32), COUNTS, 0, 1 << 24, USE_FEED_FORWARD },
    { "*.attention.head_count",             BIT(UINT32), COUNTS, 0, 1 << 16, USE_HEADS },
    { "*.attention.head_count_kv",          BIT(UINT32), COUNTS, 0, 1 << 16, USE_KV_HEADS },
    { "*.attention.key_length",             BIT(UINT32), 0, 0, 1 << 16, USE_KEY_LENGTH },
    { "*.attention.value_length",           BIT(UINT32), 0, 0, 1 << 16, USE_VALUE_LENGTH },
    { "*.rope.dimension_count",             BIT(UINT32), 0, 2, 1 << 16, USE_ROTATED },
    { "*.attention.layer_norm_rms_epsilon", BIT(FLOAT32), 0, 0, 0, USE_EPSILON },
    { "*.attention.layer_norm_epsilon",     BIT(FLOAT32), 0, 0, 0, USE_EPSILON },
    { "*.attention.group_norm_epsilon",     BIT(FLOAT32), 0, 0, 0, USE_EPSILON },
    { "*.expert_count",                     BIT(UINT32), 0, 0, 1024, USE_NONE },
    { "*.expert_used_count",                BIT(UINT32), COUNTS, 0, 1024, USE_NONE },
    { "*.attention.shared_kv_layers", BIT(UINT32), 0, 0, MODELFILE_LAYERS_MAX, USE_SHARED_KV },
    { "*.full_attention_interval", BIT(UINT32), 0, 0, MODELFILE_LAYERS_MAX, USE_INTERVAL },
    { "*.attention.kv_lora_rank", BIT(UINT32), 0, 0, 1 << 20, USE_LATENT },
    { "*.ssm.state_size", BIT(UINT32), 0, 0, 1 << 20, USE_STATE },
    { "*.wkv.head_size", BIT(UINT32), 0, 0, 1 << 20, USE_STATE },
    { "*.vocab_size",                       BIT(UINT32), 0, 0, MODELFILE_WORDS_MAX, USE_NONE },
};
/* clang-format on */

static bool applies(const struct rule *r, const char *name)
{
    size_t n = strlen(r->name);
    if (r->name[0] == '*') {
        const char *dot = strchr(name, '.');
        return dot && strcmp(dot + 1, r->name + 2) == 0;
    }
    if (r->name[n - 1] == '*')
        return strncmp(name, r->name, n - 1) == 0;
    return strcmp(name, r->name) == 0;
}

const struct rule *rule_for(const char *name)
{
    static const struct rule none = { NULL, UINT32_MAX, UINT32_MAX, 0, 0, USE_NONE };
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (applies(&rules[i], name))
            return &rules[i];
    return &none;
}
