/*
 * cpu.c - list, look up what is remembered, else score, sort, probe, remember.
 *
 * What is remembered is one line, "inferd-cpu 1 KEY VARIANT", in CACHE_NAME.  KEY
 * covers what the answer depends on: the CPU's name and flags, the kernel (it says
 * which registers may be used), and name, size and time of every module.  A file that
 * says anything else is as good as none.
 */
#include "cpu.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/file.h"
#include "base/log.h"

#define PREFIX     "libggml-cpu-"
#define SUFFIX     ".so"
#define CACHE_NAME "cpu-variant"

enum { MODULES_MAX = 64 };

struct module {
    char variant[64];
    uint64_t size;
    int64_t modified_ns;
    struct verdict verdict;
};

struct modules {
    const char *directory;
    struct module each[MODULES_MAX];
    size_t n;
};

/* --- listing --------------------------------------------------------------- */

static void close_directory(DIR **d)
{
    if (*d)
        closedir(*d);
}

static bool variant_of(const char *name, char *ret, size_t size)
{
    size_t n = strlen(name), around = strlen(PREFIX) + strlen(SUFFIX);
    if (n <= around || n - around >= size || strncmp(name, PREFIX, strlen(PREFIX)) != 0 ||
        strcmp(name + n - strlen(SUFFIX), SUFFIX) != 0)
        return false;
    snprintf(ret, size, "%.*s", (int)(n - around), name + strlen(PREFIX));
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct module *)a)->variant, ((const struct module *)b)->variant);
}

static enum err list_modules(const char *directory, struct modules *m, struct error *error)
{
    *m = (struct modules){ .directory = directory };
    CLEANUP(close_directory) DIR *d = opendir(directory);
    if (!d)
        return fail_sys(error, "cannot list the CPU modules in '%s'", directory);
    struct dirent *entry;
    while (m->n < MODULES_MAX && (entry = readdir(d))) {
        struct module *module = &m->each[m->n];
        struct stat st;
        if (!variant_of(entry->d_name, module->variant, sizeof module->variant) ||
            fstatat(dirfd(d), entry->d_name, &st, 0) < 0 || !S_ISREG(st.st_mode))
            continue;
        module->size = (uint64_t)st.st_size;
        module->modified_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        m->n++;
    }
    qsort(m->each, m->n, sizeof m->each[0], by_name);
    if (m->n == 0)
        return fail(error, ERR_CONFIG, "there is no CPU module (%s*%s) in '%s'", PREFIX, SUFFIX,
                    directory);
    return OK;
}

static enum err module_path(const struct modules *m, const struct module *module, char *ret,
                            size_t size, struct error *error)
{
    int n = snprintf(ret, size, "%s/%s%s%s", m->directory, PREFIX, module->variant, SUFFIX);
    if (n < 0 || (size_t)n >= size)
        return fail(error, ERR_CONFIG,
                    "the path of CPU module '%s' in '%s' is longer than %zu bytes", module->variant,
                    m->directory, size - 1);
    return OK;
}

static bool avoided(const struct load *load, const char *variant)
{
    for (size_t i = 0; i < AVOID_MAX && load->avoid[i]; i++)
        if (strcmp(load->avoid[i], variant) == 0)
            return true;
    return false;
}

/* --- remembering ----------------------------------------------------------- */

/* FNV-1a: a change must be noticed, nobody forges one. */
static uint64_t mix(uint64_t hash, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
    return hash;
}

/* The lines of /proc/cpuinfo that say what the first processor is. */
static uint64_t mix_cpu(uint64_t hash)
{
    static const char *const telling[] = { "vendor_id", "cpu family", "model",    "stepping",
                                           "microcode", "flags",      "Features", "CPU " };
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (!f)
        return hash;
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, f)) > 1) /* an empty line ends the first one */
        for (size_t i = 0; i < ARRAY_LEN(telling); i++)
            if (strncmp(line, telling[i], strlen(telling[i])) == 0)
                hash = mix(hash, line, (size_t)n);
    free(line);
    fclose(f);
    return hash;
}

static uint64_t key_of(const struct modules *m)
{
    uint64_t hash = mix_cpu(14695981039346656037u);
    struct utsname system;
    if (uname(&system) == 0)
        hash = mix(hash, system.release, strlen(system.release));
    for (size_t i = 0; i < m->n; i++) {
        const struct module *module = &m->each[i];
        hash = mix(hash, module->variant, strlen(module->variant) + 1);
        hash = mix(hash, &module->size, sizeof module->size);
        hash = mix(hash, &module->modified_ns, sizeof module->modified_ns);
    }
    return hash;
}

/* The remembered module, if it may be used; else NULL. */
static const struct module *recall(const struct modules *m, const struct load *load, uint64_t key)
{
    char path[PATH_MAX], want[64];
    CLEANUP(free_ptr) char *text = NULL;
    size_t len;
    if (!load->cache_dir ||
        snprintf(path, sizeof path, "%s/%s", load->cache_dir, CACHE_NAME) >= (int)sizeof path ||
        file_read(path, 256, &text, &len, NULL) != OK)
        return NULL;
    int n = snprintf(want, sizeof want, "inferd-cpu 1 %016" PRIx64 " ", key);
    if (strlen(text) != len || strncmp(text, want, (size_t)n) != 0)
        return NULL;
    text[strcspn(text, "\n")] = '\0';
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->each[i].variant, text + n) == 0 && !avoided(load, m->each[i].variant))
            return &m->each[i];
    return NULL;
}

/* Failing costs a probe at the next start, no more. */
static void remember(const struct load *load, uint64_t key, const char *variant)
{
    char path[PATH_MAX], draft[PATH_MAX], line[128];
    if (!load->cache_dir || make_directories(load->cache_dir, NULL) != OK ||
        snprintf(path, sizeof path, "%s/%s", load->cache_dir, CACHE_NAME) >= (int)sizeof path ||
        snprintf(draft, sizeof draft, "%s/.%s.%ld", load->cache_dir, CACHE_NAME, (long)getpid()) >=
            (int)sizeof draft)
        return;
    int n = snprintf(line, sizeof line, "inferd-cpu 1 %016" PRIx64 " %s\n", key, variant);
    CLEANUP(close_fd) int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    if (!write_all(fd, line, (size_t)n) || rename(draft, path) < 0)
        unlink(draft);
}

/* --- choosing -------------------------------------------------------------- */

static int by_score(const void *a, const void *b)
{
    const struct module *x = a, *y = b;
    if (x->verdict.score != y->verdict.score)
        return x->verdict.score < y->verdict.score ? 1 : -1;
    return by_name(a, b);
}

static enum err score_all(struct modules *m, const struct load *load, const struct tending *tending,
                          struct error *error)
{
    for (size_t i = 0; i < m->n; i++) {
        struct module *module = &m->each[i];
        char path[PATH_MAX];
        if (avoided(load, module->variant)) {
            snprintf(module->verdict.why, sizeof module->verdict.why, "faulted before");
            continue;
        }
        enum err e = module_path(m, module, path, sizeof path, error);
        if (e)
            return e;
        module->verdict = probe_score(path, tending);
    }
    qsort(m->each, m->n, sizeof m->each[0], by_score);
    return OK;
}

static enum err none_left(const struct modules *m, struct error *error)
{
    struct buf names;
    buf_init(&names, ERROR_MESSAGE_MAX);
    for (size_t i = 0; i < m->n; i++)
        if (buf_printf(&names, "%s%s %s", i ? ", " : "", m->each[i].variant,
                       m->each[i].verdict.why) != OK)
            break; /* the sentence has no room for more */
    enum err e = fail(error, ERR_CONFIG, "no CPU module works on this machine: %.*s",
                      (int)names.len, names.at ? names.at : "");
    buf_done(&names);
    return e;
}

/* The best module that works; NULL if none does. */
static const struct module *probe_best(struct modules *m, const struct tending *tending)
{
    for (size_t i = 0; i < m->n; i++) {
        struct module *module = &m->each[i];
        char path[PATH_MAX];
        if (module->verdict.score <= 0 || module_path(m, module, path, sizeof path, NULL) != OK)
            continue;
        int score = module->verdict.score;
        module->verdict = probe_multiply(path, tending);
        module->verdict.score = score;
        if (module->verdict.works)
            return module;
        log_warn("CPU variant '%s' %s; trying the next", module->variant, module->verdict.why);
    }
    return NULL;
}

enum err cpu_choose(const char *directory, const struct load *load, const struct tending *tending,
                    struct cpu_choice *ret, struct error *error)
{
    struct modules m;
    enum err e = list_modules(directory, &m, error);
    if (e)
        return e;
    uint64_t key = key_of(&m);
    const struct module *best = recall(&m, load, key);
    if (!best) {
        e = score_all(&m, load, tending, error);
        if (e)
            return e;
        best = probe_best(&m, tending);
        if (!best)
            return none_left(&m, error);
        remember(load, key, best->variant);
    }
    snprintf(ret->variant, sizeof ret->variant, "%s", best->variant);
    return module_path(&m, best, ret->path, sizeof ret->path, error);
}
