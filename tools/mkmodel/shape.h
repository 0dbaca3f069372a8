/*
 * shape.h - what kind of model is wanted.
 */
#pragma once

#include <ggml.h>
#include <stdint.h>

struct shape {
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
