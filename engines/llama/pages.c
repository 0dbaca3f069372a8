/*
 * pages.c - see pages.h.
 */
#include "pages.h"

#include <ggml.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What a node is a part of, if that is a cache: "cache_k_l0", "cache_s_l7". */
static ggml_backend_buffer_t cache_behind(const struct ggml_tensor *node)
{
    const struct ggml_tensor *whole = node->view_src;
    if (!whole || !whole->buffer || strncmp(whole->name, "cache_", 6) != 0)
        return NULL;
    return whole->buffer;
}

bool pages_look(struct ggml_tensor *node, bool ask, void *pages)
{
    struct pages *p = pages;
    ggml_backend_buffer_t buffer = ask && !p->released ? cache_behind(node) : NULL;
    if (!buffer)
        return false;
    for (size_t i = 0; i < p->n; i++)
        if (p->found[i] == buffer)
            return false;
    if (p->n < PAGES_BUFFERS_MAX)
        p->found[p->n++] = buffer;
    return false;
}

/* Only whole pages, and only memory of this process that no file is behind. */
static size_t release(ggml_backend_buffer_t buffer)
{
    if (ggml_backend_buffer_get_type(buffer) != ggml_backend_cpu_buffer_type())
        return 0;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *base = ggml_backend_buffer_get_base(buffer);
    size_t skip = (page - (uintptr_t)base % page) % page;
    size_t size = ggml_backend_buffer_get_size(buffer);
    size_t whole = size > skip ? (size - skip) / page * page : 0;
    if (whole == 0 || madvise(base + skip, whole, MADV_DONTNEED) < 0)
        return 0; /* then the memory stays taken, which is no worse than before */
    return whole;
}

size_t pages_release(struct pages *pages)
{
    size_t bytes = 0;
    for (size_t i = 0; i < pages->n; i++)
        bytes += release(pages->found[i]);
    pages->released = true;
    return bytes;
}
