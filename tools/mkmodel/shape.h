/*
 * shape.h - what kind of model is wanted.
 */
#pragma once

#include <ggml.h>
#include <stdint.h>

/* What a model keeps of the tokens before. */
enum keeping {
    KEEP_ALL,    /* their keys and values: architecture llama */
    KEEP_WINDOW, /* every other layer only those of the last WINDOW: granite_swa */
    KEEP_STATE,  /* every other layer a state that is written over: lfm2 */
};

enum { WINDOW = 64 };

struct shape {
    enum keeping keeping;
    uint32_t layers;
    uint32_t width; /* features per position */
    uint32_t heads;
    uint32_t kv_heads;
    uint32_t ffn;
    uint32_t context; /* what the metadata calls the training context */
    enum ggml_type type;
    uint64_t seed;
    float scale; /* standard deviation of the logits */
};
