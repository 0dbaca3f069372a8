/*
 * modelfile.h - is this file a model that may be handed to llama.cpp?
 *
 * A GGUF file says how many keys and tensors it has, how long each name is and where
 * its numbers lie, and whoever made it may have lied.  What is read here is all of it
 * but the numbers themselves, once, front to back, and before libllama sees a byte:
 * counts and lengths against limits and the file's size, types of the keys that
 * loading depends on, tensors that lie one behind the other and inside the file.
 *
 * It does not know what makes a model good: missing tensors or a wrong shape are
 * llama.cpp's to refuse.
 */
#pragma once

#include "window.h"

enum {
    MODELFILE_KEYS_MAX = 4096,
    MODELFILE_TENSORS_MAX = 16384,
    MODELFILE_ELEMENTS_MAX = 16 * 1024 * 1024, /* of all arrays together */
    MODELFILE_STRING_MAX = 64 * 1024 * 1024,
    MODELFILE_NAME_MAX = 1024, /* bytes of a key's name */
    MODELFILE_TEMPLATE_MAX = 1024 * 1024,
    MODELFILE_WORDS_MAX = 4 * 1024 * 1024, /* of the vocabulary */
    MODELFILE_LAYERS_MAX = 512,            /* llama.cpp's */
    MODELFILE_ALIGNMENT_LEAST = 32,        /* ggml's own; less makes it abort */
    MODELFILE_ALIGNMENT_MOST = 64 * 1024,
};

/* What a file says about the model's measures; 0 where it says nothing. */
struct measures {
    char architecture[64];
    uint32_t layers;
    uint32_t context; /* tokens it was trained with */
    uint32_t width;
    uint32_t feed_forward; /* of the widest layer */
    uint32_t heads;        /* of the layer with the most */
    uint64_t kv_heads;     /* kept in all layers together, at least */
    uint32_t key_length;   /* of one head; 0: width / heads */
    uint32_t value_length;
    bool latent;         /* keys and values are kept as one, as long as a key */
    uint64_t vocabulary; /* words */
};

struct modelfile {
    struct measures measures;
    uint64_t tensors;
    uint64_t data_at;    /* where the tensors begin */
    uint64_t data_bytes; /* of all tensors */
};

/*
 * Read the file in `w`, just opened.
 *
 * ERR_CONFIG   it can't be loaded; the sentence says what is wrong and where, and
 *              names nothing but keys and tensors, their names made harmless
 * ERR_SYSTEM   it can't be read
 * ERR_NO_MEMORY
 */
enum err modelfile_check(struct window *w, struct modelfile *ret, struct error *error) MUST_USE;
