/*
 * loading.h - how a model is loaded, as the backend's entry in the configuration says.
 */
#pragma once

#include <llama.h>

#include "base/json.h"
#include "memory.h"
#include "rpc.h"
#include "sandbox.h"

struct loading {
    enum sandbox_mode sandbox;
    uint32_t threads; /* that decode, and that read prompts; never 0 */
    uint32_t batch_threads;
    bool mmap;
    bool huge_pages; /* for the weights, where there is room for them twice */
    enum ggml_type kv_type;
    enum llama_flash_attn_type flash_attention;
    bool check_memory;
    bool fixed_slots;     /* the number of slots was asked for; else there may be fewer */
    struct memory memory; /* that there is */
    struct rpc_servers rpc;
};

/*
 * What `options` say, and for the rest what this machine suggests.  Looks at files of
 * the system, so it has to be called outside of a sandbox.
 *
 * Fails as the getters of base/json.h do; ERR_CONFIG for a word that is none.
 */
enum err loading_read(const json_t *options, struct loading *ret, struct error *error) MUST_USE;
