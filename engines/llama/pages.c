/*
 * pages.c - see pages.h.
 */
#include "pages.h"

#include <ggml.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    LARGE = 2 * 1024 * 1024,   /* a large page on x86-64, and on arm64 with small ones of 4 KiB */
    CHUNK = 128 * 1024 * 1024, /* copied at a time: what is there twice meanwhile */
};

/* --- finding them --------------------------------------------------------------- */

static void note(struct buffers *b, ggml_backend_buffer_t buffer)
{
    for (size_t i = 0; i < b->n; i++)
        if (b->at[i] == buffer)
            return;
    if (b->n < PAGES_BUFFERS_MAX)
        b->at[b->n++] = buffer;
}

/* What a node is a part of may be a cache: "cache_k_l0", "cache_s_l7". */
static void look_for_cache(struct buffers *b, const struct ggml_tensor *node)
{
    const struct ggml_tensor *whole = node->view_src;
    if (whole && whole->buffer && strncmp(whole->name, "cache_", 6) == 0)
        note(b, whole->buffer);
}

static void look_for_weights(struct buffers *b, const struct ggml_tensor *node)
{
    for (size_t i = 0; i < GGML_MAX_SRC && node->src[i]; i++) {
        ggml_backend_buffer_t buffer = node->src[i]->buffer;
        if (buffer && ggml_backend_buffer_get_usage(buffer) == GGML_BACKEND_BUFFER_USAGE_WEIGHTS)
            note(b, buffer);
    }
}

bool pages_look(struct ggml_tensor *node, bool ask, void *pages)
{
    struct pages *p = pages;
    if (ask && !p->known) {
        look_for_cache(&p->caches, node);
        look_for_weights(&p->weights, node);
    }
    return false;
}

/* The part of the address space that a buffer takes. */
struct range {
    char *at;
    size_t size; /* 0: nothing of this process's own memory */
};

static struct range range_of(ggml_backend_buffer_t buffer)
{
    ggml_backend_dev_t device = ggml_backend_buft_get_device(ggml_backend_buffer_get_type(buffer));
    bool ours = device ? ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU
                       : ggml_backend_buffer_is_host(buffer);
    if (!ours)
        return (struct range){ 0 };
    return (struct range){ ggml_backend_buffer_get_base(buffer),
                           ggml_backend_buffer_get_size(buffer) };
}

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* The pages that belong to the range alone. */
static struct range inner_pages(struct range r)
{
    size_t page = page_size();
    size_t skip = (page - (uintptr_t)r.at % page) % page;
    if (r.size < skip + page)
        return (struct range){ 0 };
    return (struct range){ r.at + skip, (r.size - skip) / page * page };
}

/* All pages that the range has a part of. */
static struct range outer_pages(struct range r)
{
    size_t page = page_size();
    size_t before = (uintptr_t)r.at % page;
    return (struct range){ r.at - before, (r.size + before + page - 1) / page * page };
}

/* --- the caches --------------------------------------------------------------------- */

void pages_release(struct pages *pages)
{
    pages->known = true;
    for (size_t i = 0; i < pages->caches.n; i++) {
        struct range r = inner_pages(range_of(pages->caches.at[i]));
        if (r.size) /* if it fails, the memory stays taken, which is no worse than before */
            madvise(r.at, r.size, MADV_DONTNEED);
    }
}

/* --- the weights -------------------------------------------------------------------- */

/* Memory of `size` bytes that is divided into large pages as what is at `at` will be;
 * NULL: there is none. */
static char *map_large(const char *at, size_t size)
{
    char *all =
        mmap(NULL, size + LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED)
        return NULL;
    size_t before = ((uintptr_t)at - (uintptr_t)all) % LARGE;
    if (before)
        munmap(all, before);
    munmap(all + before + size, LARGE - before);
    madvise(all + before, size, MADV_HUGEPAGE); /* a wish */
    return all + before;
}

static enum err put_over(char *at, char *copy, size_t size, struct error *error)
{
    memcpy(copy, at, size);
    if (mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, at) == MAP_FAILED)
        return fail_sys(error, "the model's weights can't be moved to large pages");
    return OK;
}

static enum err enlarge(struct range r, struct error *error)
{
    while (r.size) {
        size_t size = r.size < CHUNK ? r.size : CHUNK;
        char *copy = map_large(r.at, size);
        if (!copy)
            return OK; /* what was moved is a gain all the same */
        enum err e = put_over(r.at, copy, size, error);
        if (e)
            return e;
        r.at += size;
        r.size -= size;
    }
    return OK;
}

enum err pages_enlarge(const struct pages *pages, bool mapped, struct error *error)
{
    enum err e = OK;
    for (size_t i = 0; !e && i < pages->weights.n; i++) {
        struct range r = range_of(pages->weights.at[i]);
        if (r.size)
            e = enlarge(mapped ? outer_pages(r) : inner_pages(r), error);
    }
    return e;
}
