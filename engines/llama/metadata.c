/*
 * metadata.c - name, type, value, and again.
 *
 *     string  u64 length, bytes
 *     array   u32 type of its elements, u64 how many, the elements
 *
 * A rule (rules.h) says what a key must be, and what is done with it.
 */
#include "metadata.h"

#include <gguf.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "nesting.h"
#include "rules.h"

enum { SHOWN_MAX = 80 }; /* bytes of a name in an error */

/* --- one key --------------------------------------------------------------- */

struct key {
    struct window *w;
    struct metadata *m;
    const struct rule *rule;
    char name[MODELFILE_NAME_MAX + 1];
    char shown[SHOWN_MAX + 1]; /* the name, harmless */
    char about[SHOWN_MAX + 32];
    uint32_t type;    /* of the value, or of each of its elements */
    uint64_t count;   /* of elements */
    uint64_t largest; /* of whole numbers read, and their sum */
    uint64_t sum;
};

static bool wants_number(const struct key *k)
{
    return k->rule->highest > 0;
}

static size_t size_of_type(uint32_t type)
{
    switch (type) {
    case GGUF_TYPE_UINT8:
    case GGUF_TYPE_INT8:
    case GGUF_TYPE_BOOL:
        return 1;
    case GGUF_TYPE_UINT16:
    case GGUF_TYPE_INT16:
        return 2;
    case GGUF_TYPE_UINT32:
    case GGUF_TYPE_INT32:
    case GGUF_TYPE_FLOAT32:
        return 4;
    case GGUF_TYPE_UINT64:
    case GGUF_TYPE_INT64:
    case GGUF_TYPE_FLOAT64:
        return 8;
    default:
        return 0;
    }
}

static enum err read_name(struct key *k, struct error *error)
{
    uint64_t n = 0;
    k->w->about = "a key's name";
    enum err e = window_u64(k->w, &n, error);
    if (e)
        return e;
    if (n == 0 || n > MODELFILE_NAME_MAX)
        return fail(error, ERR_CONFIG,
                    "a key's name at byte %" PRIu64 " has %" PRIu64 " bytes; 1 to %d are possible",
                    k->w->at, n, MODELFILE_NAME_MAX);
    e = window_take(k->w, k->name, (size_t)n, error);
    if (e)
        return e;
    k->name[n] = '\0';
    if (strlen(k->name) != n)
        return fail(error, ERR_CONFIG, "a key's name before byte %" PRIu64 " holds a NUL",
                    k->w->at);
    name_show(k->name, k->shown, sizeof k->shown);
    snprintf(k->about, sizeof k->about, "the value of '%s'", k->shown);
    k->w->about = k->about;
    return OK;
}

static enum err wrong_type(const struct key *k, struct error *error)
{
    return fail(error, ERR_CONFIG, "key '%s' is of a type (%u) that it can't have", k->shown,
                k->type);
}

/* --- values ---------------------------------------------------------------- */

static enum err string_length(struct key *k, uint64_t *ret, struct error *error)
{
    enum err e = window_u64(k->w, ret, error);
    if (!e && *ret > MODELFILE_STRING_MAX)
        return fail(error, ERR_CONFIG,
                    "%s at byte %" PRIu64 " is a text of %" PRIu64 " bytes; at most %d are read",
                    k->about, k->w->at, *ret, MODELFILE_STRING_MAX);
    return e;
}

static enum err read_architecture(struct key *k, uint64_t n, struct error *error)
{
    char *to = k->m->measures.architecture;
    if (n == 0 || n >= sizeof k->m->measures.architecture)
        return fail(error, ERR_CONFIG,
                    "key '%s' is a text of %" PRIu64 " bytes; 1 to %zu are known", k->shown, n,
                    sizeof k->m->measures.architecture - 1);
    enum err e = window_take(k->w, to, (size_t)n, error);
    if (e)
        return e;
    to[n] = '\0';
    for (uint64_t i = 0; i < n; i++)
        if (to[i] < '!' || to[i] > '~')
            return fail(error, ERR_CONFIG, "key '%s' is not a name", k->shown);
    return OK;
}

static enum err read_template(struct key *k, uint64_t n, struct error *error)
{
    if (n > MODELFILE_TEMPLATE_MAX)
        return fail(error, ERR_CONFIG,
                    "the chat template '%s' has %" PRIu64 " bytes; at most %d are possible",
                    k->shown, n, MODELFILE_TEMPLATE_MAX);
    CLEANUP(free_ptr) char *text = malloc((size_t)n + 1);
    if (!text)
        return fail_nomem(error);
    enum err e = window_take(k->w, text, (size_t)n, error);
    if (e)
        return e;
    if (memchr(text, '\0', (size_t)n))
        return fail(error, ERR_CONFIG, "the chat template '%s' holds a NUL", k->shown);
    struct error why;
    e = nesting_check(text, (size_t)n, &why);
    return e ? fail(error, e, "the chat template '%s' can't be used: %s", k->shown, why.message)
             : OK;
}

/* A word of the vocabulary.  llama.cpp gives empty ones a name of its own. */
static enum err read_word(struct key *k, uint64_t n, struct names *words, struct error *error)
{
    char piece[256];
    uint64_t hash = NAME_HASH_INIT;
    bool empty = n == 0;
    while (n > 0) {
        size_t part = n < sizeof piece ? (size_t)n : sizeof piece;
        enum err e = window_take(k->w, piece, part, error);
        if (e)
            return e;
        hash = name_hash(hash, piece, part);
        n -= part;
    }
    if (!empty && names_add(words, hash))
        return fail_nomem(error);
    return OK;
}

static enum err read_string(struct key *k, struct names *words, struct error *error)
{
    uint64_t n = 0;
    enum err e = string_length(k, &n, error);
    if (e)
        return e;
    switch (k->rule->use) {
    case USE_ARCHITECTURE:
        return read_architecture(k, n, error);
    case USE_TEMPLATE:
        return read_template(k, n, error);
    case USE_WORDS:
        return read_word(k, n, words, error);
    default:
        return window_skip(k->w, n, error);
    }
}

static enum err read_number(struct key *k, struct error *error)
{
    uint64_t n = 0;
    uint32_t n32 = 0;
    uint16_t n16 = 0;
    enum err e;
    if (size_of_type(k->type) == 2) {
        e = window_u16(k->w, &n16, error);
        n = n16;
    } else {
        e = window_u32(k->w, &n32, error); /* a negative one becomes a large one */
        n = n32;
    }
    if (e)
        return e;
    if (n < k->rule->lowest || n > k->rule->highest)
        return fail(error, ERR_CONFIG,
                    "key '%s' is %" PRIu64 "; %" PRIu64 " to %" PRIu64 " are possible", k->shown, n,
                    k->rule->lowest, k->rule->highest);
    k->largest = n > k->largest ? n : k->largest;
    k->sum += n;
    return OK;
}

/* What is added so that nothing is divided by zero. */
static enum err read_epsilon(struct key *k, struct error *error)
{
    uint32_t bits = 0;
    float epsilon;
    enum err e = window_u32(k->w, &bits, error);
    if (e)
        return e;
    memcpy(&epsilon, &bits, sizeof epsilon);
    if (!(epsilon >= 0 && epsilon <= 1))
        return fail(error, ERR_CONFIG, "key '%s' is %g; 0 to 1 are possible", k->shown,
                    (double)epsilon);
    return OK;
}

/* --- arrays ---------------------------------------------------------------- */

static enum err array_head(struct key *k, struct error *error)
{
    enum err e = window_u32(k->w, &k->type, error);
    if (!e)
        e = window_u64(k->w, &k->count, error);
    if (e)
        return e;
    if (k->type >= GGUF_TYPE_COUNT || k->type == GGUF_TYPE_ARRAY ||
        !(k->rule->each & (1u << k->type)))
        return wrong_type(k, error);
    uint64_t most = k->rule->use == USE_WORDS ? MODELFILE_WORDS_MAX : MODELFILE_ELEMENTS_MAX;
    if (k->count > most || k->count > MODELFILE_ELEMENTS_MAX - k->m->elements)
        return fail(error, ERR_CONFIG,
                    "key '%s' is an array of %" PRIu64 " elements; at most %" PRIu64
                    " are possible, and %d in all arrays together",
                    k->shown, k->count, most, MODELFILE_ELEMENTS_MAX);
    k->m->elements += k->count;
    return OK;
}

static enum err read_strings(struct key *k, struct error *error)
{
    CLEANUP(names_done) struct names words = { 0 };
    enum err e = OK;
    for (uint64_t i = 0; !e && i < k->count; i++)
        e = read_string(k, &words, error);
    if (!e && names_repeat(&words))
        return fail(error, ERR_CONFIG, "key '%s' has the same word twice", k->shown);
    return e;
}

static enum err read_elements(struct key *k, struct error *error)
{
    if (k->type == GGUF_TYPE_STRING)
        return read_strings(k, error);
    if (!wants_number(k))
        return window_skip(k->w, k->count * size_of_type(k->type), error);
    enum err e = OK;
    for (uint64_t i = 0; !e && i < k->count; i++)
        e = read_number(k, error);
    return e;
}

/* --- what it says ---------------------------------------------------------- */

/* The measures are those of one architecture. */
static bool is_measure_of_ours(struct key *k)
{
    const char *dot = strchr(k->name, '.');
    size_t n = dot ? (size_t)(dot - k->name) : 0;
    if (n == 0 || n >= sizeof k->m->prefix)
        return false;
    if (!k->m->prefix[0])
        memcpy(k->m->prefix, k->name, n);
    return strlen(k->m->prefix) == n && memcmp(k->m->prefix, k->name, n) == 0;
}

static void note_measure(struct key *k, bool array)
{
    struct measures *m = &k->m->measures;
    uint32_t n = (uint32_t)k->largest;
    if (!is_measure_of_ours(k))
        return;
    switch (k->rule->use) {
    case USE_LAYERS:
        m->layers = n;
        break;
    case USE_CONTEXT:
        m->context = n;
        break;
    case USE_WIDTH:
        m->width = n;
        break;
    case USE_FEED_FORWARD:
        m->feed_forward = n;
        k->m->feed_forwards = array ? k->count : 0;
        break;
    case USE_HEADS:
        m->heads = n;
        k->m->head_counts = array ? k->count : 0;
        break;
    case USE_KV_HEADS:
        m->kv_heads = k->sum;
        k->m->kv_head_counts = array ? k->count : 0;
        break;
    case USE_KEY_LENGTH:
        m->key_length = n;
        break;
    case USE_VALUE_LENGTH:
        m->value_length = n;
        break;
    case USE_SHARED_KV:
        k->m->shared_kv_layers = n;
        break;
    case USE_INTERVAL:
        k->m->attention_interval = n;
        break;
    case USE_LATENT:
        m->latent = n > 0;
        break;
    case USE_STATE:
        k->m->keeps_state = true;
        break;
    case USE_ROTATED:
        k->m->rotated = n;
        break;
    default:
        break;
    }
}

static enum err note(struct key *k, bool array, struct error *error)
{
    switch (k->rule->use) {
    case USE_ALIGNMENT:
        if (k->largest & (k->largest - 1))
            return fail(error, ERR_CONFIG, "key '%s' is %" PRIu64 ", which is no power of two",
                        k->shown, k->largest);
        k->m->alignment = (uint32_t)k->largest;
        return OK;
    case USE_SPLIT_COUNT:
        if (k->largest > 1)
            return fail(error, ERR_CONFIG,
                        "it is one of %" PRIu64 " parts of a model; only models in one file can "
                        "be loaded (llama-gguf-split --merge joins parts)",
                        k->largest);
        return OK;
    case USE_WORDS:
        k->m->measures.vocabulary = k->count;
        return OK;
    default:
        if (k->rule->name && k->rule->name[0] == '*')
            note_measure(k, array);
        return OK;
    }
}

static enum err read_single(struct key *k, struct error *error)
{
    if (k->type >= GGUF_TYPE_COUNT || !(k->rule->single & (1u << k->type)))
        return wrong_type(k, error);
    if (k->type == GGUF_TYPE_STRING)
        return read_string(k, NULL, error);
    if (k->rule->use == USE_EPSILON)
        return read_epsilon(k, error);
    return wants_number(k) ? read_number(k, error)
                           : window_skip(k->w, size_of_type(k->type), error);
}

static enum err read_key(struct key *k, struct names *names, struct error *error)
{
    enum err e = read_name(k, error);
    if (e)
        return e;
    if (names_add(names, name_hash(NAME_HASH_INIT, k->name, strlen(k->name))))
        return fail_nomem(error);
    k->rule = rule_for(k->name);
    k->largest = k->sum = k->count = 0;
    e = window_u32(k->w, &k->type, error);
    if (e)
        return e;
    bool array = k->type == GGUF_TYPE_ARRAY;
    e = array ? array_head(k, error) : OK;
    if (!e)
        e = array ? read_elements(k, error) : read_single(k, error);
    return e ? e : note(k, array, error);
}

/* --- all of them ----------------------------------------------------------- */

static enum err check_per_layer(const struct metadata *m, const char *what, uint64_t n,
                                struct error *error)
{
    if (n > 0 && n != m->measures.layers)
        return fail(error, ERR_CONFIG, "it has %u layers and %s for %" PRIu64, m->measures.layers,
                    what, n);
    return OK;
}

/* Layers that look back at all tokens keep keys and values, unless they use another's. */
static uint64_t kv_heads_of_all_layers(const struct metadata *m)
{
    const struct measures *s = &m->measures;
    uint64_t sum = s->kv_heads;
    uint32_t shared = m->shared_kv_layers < s->layers ? m->shared_kv_layers : 0;
    if (m->kv_head_counts == 0) {
        uint64_t layers = m->attention_interval ? s->layers / m->attention_interval
                          : m->keeps_state      ? 0
                                                : s->layers;
        sum = (sum ? sum : s->heads) * layers;
    }
    return s->layers ? sum * (s->layers - shared) / s->layers : 0;
}

/* Numbers of a key are turned in pairs.  How many a key has is certain only where all
 * layers have as many heads. */
static enum err check_rotated(const struct metadata *m, struct error *error)
{
    const struct measures *s = &m->measures;
    uint32_t key = s->key_length;
    if (!key && s->heads && m->head_counts == 0)
        key = s->width / s->heads;
    if (m->rotated % 2 || (key && m->rotated > key))
        return fail(error, ERR_CONFIG,
                    "%u numbers of each key are turned (rope.dimension_count), of %u; an even "
                    "number of them is possible",
                    m->rotated, key);
    return OK;
}

static enum err conclude(struct metadata *m, struct error *error)
{
    struct measures *s = &m->measures;
    if (!s->architecture[0])
        return fail(error, ERR_CONFIG, "key 'general.architecture' is missing");
    if (m->prefix[0] && strcmp(m->prefix, s->architecture) != 0) {
        char shown[sizeof m->prefix];
        name_show(m->prefix, shown, sizeof shown);
        return fail(error, ERR_CONFIG,
                    "its architecture is '%s' and its measures are those of '%s'", s->architecture,
                    shown);
    }
    enum err e = check_per_layer(m, "counts of heads", m->head_counts, error);
    if (!e)
        e = check_per_layer(m, "counts of heads of keys and values", m->kv_head_counts, error);
    if (!e)
        e = check_per_layer(m, "widths of the feed-forward part", m->feed_forwards, error);
    if (!e)
        e = check_rotated(m, error);
    s->kv_heads = kv_heads_of_all_layers(m);
    return e;
}

enum err metadata_read(struct window *w, uint64_t n_keys, struct metadata *ret, struct error *error)
{
    CLEANUP(names_done) struct names names = { 0 };
    struct metadata m = { .alignment = 32 };
    struct key k = { .w = w, .m = &m };
    enum err e = OK;
    for (uint64_t i = 0; !e && i < n_keys; i++)
        e = read_key(&k, &names, error);
    w->about = "the header";
    if (!e && names_repeat(&names))
        return fail(error, ERR_CONFIG, "it has the same key twice");
    if (!e)
        e = conclude(&m, error);
    if (!e)
        *ret = m;
    return e;
}
