/*
 * loading.c - see loading.h.
 */
#include "loading.h"

#include <stdio.h>
#include <string.h>

#include "cores.h"

enum { THREADS_HIGHEST = 512 }; /* ggml's */

static enum err read_sandbox(const json_t *options, enum sandbox_mode *ret, struct error *error)
{
    const char *name = "auto";
    enum err e = json_get_string(options, "sandbox", &name, error);
    if (!e && !sandbox_mode_from_name(name, ret))
        return fail(error, ERR_CONFIG, "sandbox is '%.32s'; it can be auto, off or require", name);
    return e;
}

/* Prompts are read with as many threads as answers are written, unless told otherwise. */
static enum err read_threads(const json_t *options, const struct cgroup *group, struct loading *l,
                             struct error *error)
{
    enum err e = json_get_u32(options, "threads", 1, THREADS_HIGHEST, &l->threads, error);
    if (!e && l->threads == 0)
        l->threads = cores_usable(group);
    l->batch_threads = l->threads;
    return e ? e
             : json_get_u32(options, "threads_batch", 1, THREADS_HIGHEST, &l->batch_threads, error);
}

static enum err read_kv_type(const json_t *options, enum ggml_type *ret, struct error *error)
{
    static const enum ggml_type known[] = {
        GGML_TYPE_F16,  GGML_TYPE_F32,  GGML_TYPE_BF16, GGML_TYPE_Q8_0,
        GGML_TYPE_Q5_1, GGML_TYPE_Q5_0, GGML_TYPE_Q4_1, GGML_TYPE_Q4_0,
    };
    const char *name = "f16";
    enum err e = json_get_string(options, "kv_type", &name, error);
    if (e)
        return e;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(ggml_type_name(known[i]), name) == 0) {
            *ret = known[i];
            return OK;
        }
    return fail(error, ERR_CONFIG,
                "kv_type is '%.32s'; it can be f32, f16, bf16, q8_0, q5_1, q5_0, q4_1 or q4_0",
                name);
}

static enum err read_flash_attention(const json_t *options, enum llama_flash_attn_type *ret,
                                     struct error *error)
{
    static const struct {
        const char *name;
        enum llama_flash_attn_type type;
    } known[] = {
        { "auto", LLAMA_FLASH_ATTN_TYPE_AUTO },
        { "on", LLAMA_FLASH_ATTN_TYPE_ENABLED },
        { "off", LLAMA_FLASH_ATTN_TYPE_DISABLED },
    };
    const char *name = "auto";
    enum err e = json_get_string(options, "flash_attention", &name, error);
    if (e)
        return e;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(known[i].name, name) == 0) {
            *ret = known[i].type;
            return OK;
        }
    return fail(error, ERR_CONFIG, "flash_attention is '%.32s'; it can be auto, on or off", name);
}

/* llama.cpp keeps small numbers where flash attention reads them, and nowhere else. */
static enum err read_attention(const json_t *options, struct loading *l, struct error *error)
{
    enum err e = read_kv_type(options, &l->kv_type, error);
    if (!e)
        e = read_flash_attention(options, &l->flash_attention, error);
    if (!e && ggml_is_quantized(l->kv_type) && l->flash_attention == LLAMA_FLASH_ATTN_TYPE_DISABLED)
        return fail(error, ERR_CONFIG, "kv_type %s needs flash_attention, which is off",
                    ggml_type_name(l->kv_type));
    return e;
}

enum err loading_read(const json_t *options, struct loading *ret, struct error *error)
{
    struct cgroup group = cgroup_read("");
    struct loading l = {
        .mmap = true,
        .huge_pages = true,
        .check_memory = true,
        .fixed_slots = json_is_integer(json_object_get(options, "slots")),
        .memory = memory_read("", &group),
    };
    enum err e = read_sandbox(options, &l.sandbox, error);
    if (!e)
        e = read_threads(options, &group, &l, error);
    if (!e)
        e = read_attention(options, &l, error);
    if (!e)
        e = rpc_read(options, &l.rpc, error);
    if (!e)
        e = json_get_bool(options, "mmap", &l.mmap, error);
    if (!e)
        e = json_get_bool(options, "huge_pages", &l.huge_pages, error);
    if (!e)
        e = json_get_bool(options, "memory_check", &l.check_memory, error);
    if (!e)
        *ret = l;
    return e;
}
