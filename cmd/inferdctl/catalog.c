/*
 * catalog.c - see catalog.h.
 */
#include "catalog.h"

#include <string.h>

#include "args.h"
#include "base/buf.h"
#include "base/nearest.h"
#include "output.h"

#define E4B                                                                                        \
    "https://huggingface.co/unsloth/gemma-4-E4B-it-GGUF/resolve/"                                  \
    "0720adb23527c2cd5ea01d1db067cd960327fdac/"
#define B12                                                                                        \
    "https://huggingface.co/unsloth/gemma-4-12b-it-GGUF/resolve/"                                  \
    "d997c805aafe035a8024f961c6e1afd6b30d79a5/"
#define EMBEDDING                                                                                  \
    "https://huggingface.co/unsloth/embeddinggemma-300m-GGUF/resolve/"                             \
    "6661a6504c30d8304af13455cb4a5d4f5bc6011f/"

/* Those that the reference configures at its first start, and the larger one that it
 * takes where there is room for it. */
const struct catalog_entry catalog[] = {
    { "gemma-4-e4b", E4B "gemma-4-E4B-it-UD-Q4_K_XL.gguf",
      "30d1e7949597a3446726064e80b876fd1b5cba4aa6eec53d27afa420e731fb36", 5126304928, "gemma",
      "answers, sees and calls tools" },
    { "gemma-4-e4b-mmproj", E4B "mmproj-F16.gguf",
      "ddf46c21d7078e95338cfc22306b19b276a29a5ad089023449dd54d4b6170a51", 990372672, "gemma",
      "what gemma-4-e4b sees with" },
    { "gemma-4-12b", B12 "gemma-4-12b-it-UD-Q4_K_XL.gguf",
      "ee33ab5be8e07aca1c269fc645eaed5f3298e089d52db29415839d8f29957020", 7366421920, "gemma",
      "answers and calls tools, larger" },
    { "embeddinggemma-300m", EMBEDDING "embeddinggemma-300M-Q8_0.gguf",
      "a0f7b4e13c397a6e1b32c2de75b1f65a14c92ec524d5f674d94a4290a1c4969b", 328577056, "gemma",
      "turns text into vectors" },
};
const size_t n_catalog = ARRAY_LEN(catalog);

const struct catalog_entry *catalog_named(const char *name)
{
    for (size_t i = 0; i < n_catalog; i++)
        if (strcmp(catalog[i].name, name) == 0)
            return &catalog[i];
    return NULL;
}

const struct catalog_entry *catalog_with(const struct digest *digest)
{
    for (size_t i = 0; i < n_catalog; i++)
        if (strcmp(catalog[i].sha256, digest->hex) == 0)
            return &catalog[i];
    return NULL;
}

const struct catalog_entry *catalog_find(const char *name)
{
    const struct catalog_entry *found = catalog_named(name);
    if (found)
        return found;
    const char *names[ARRAY_LEN(catalog)];
    for (size_t i = 0; i < n_catalog; i++)
        names[i] = catalog[i].name;
    const char *meant = nearest(name, names, n_catalog);
    if (meant)
        complain("the catalog has no '%.80s'; did you mean '%s'?", name, meant);
    else
        complain("the catalog has no '%.80s'; for a model of your own give --name, --url and "
                 "--sha256",
                 name);
    catalog_tell();
    return NULL;
}

void catalog_tell(void)
{
    for (size_t i = 0; i < n_catalog; i++)
        complain("the catalog has %-20s %s", catalog[i].name, catalog[i].what);
}
