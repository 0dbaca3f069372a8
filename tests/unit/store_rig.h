/*
 * store_rig.h - a model store in a directory of its own, removed with all that is in it.
 */
#pragma once

#include "test.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store.h"

/* SHA-256 of "abc", and of nothing. */
#define ABC       "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMPTY     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define DATA(hex) "store/blobs/sha256/" hex

/* The tests run inside it: their paths are relative. */
static char rig_home[64];
static struct store rig;

static inline int rig_remove(const char *path, const struct stat *st UNUSED, int type UNUSED,
                             struct FTW *where UNUSED)
{
    return remove(path);
}

static inline int rig_begin(void **state UNUSED)
{
    struct error error;
    snprintf(rig_home, sizeof rig_home, "/tmp/inferd-store-XXXXXX");
    assert_non_null(mkdtemp(rig_home));
    assert_int_equal(chdir(rig_home), 0);
    unsetenv("MODELS_HOME");
    unsetenv("XDG_DATA_HOME");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("OLLAMA_MODELS");
    unsetenv("HF_HOME");
    unsetenv("HF_HUB_CACHE");
    setenv("HOME", rig_home, 1);
    assert_int_equal(store_open(&rig, "store", &error), OK);
    return 0;
}

static inline int rig_end(void **state UNUSED)
{
    store_done(&rig);
    assert_int_equal(chdir("/"), 0);
    return nftw(rig_home, rig_remove, 16, FTW_DEPTH | FTW_PHYS);
}

#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, rig_begin, rig_end)

/* `e` must be OK; its sentence is shown if it is not. */
#define FINE(call)                                                                                 \
    do {                                                                                           \
        struct error fine_ = { 0 };                                                                \
        struct error *why UNUSED = &fine_;                                                         \
        if ((call) != OK)                                                                          \
            fail_msg("%s: %s", #call, fine_.message);                                              \
    } while (0)

/* It must fail with this code, and a sentence with `text` in it. */
#define FAILS(call, expected, text)                                                                \
    do {                                                                                           \
        struct error fails_ = { 0 };                                                               \
        struct error *why = &fails_;                                                               \
        enum err e_ = (call);                                                                      \
        if (e_ != (expected) || fails_.code != e_ || !strstr(fails_.message, (text)))              \
            fail_msg("%s: %d, not %d: %s", #call, e_, (expected), fails_.message);                 \
    } while (0)

static inline struct digest rig_digest(const char *hex)
{
    struct digest d;
    struct error error;
    assert_int_equal(digest_read(hex, strlen(hex), &d, &error), OK);
    return d;
}

static inline bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static inline void make_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static inline void make_dir(const char *path)
{
    if (mkdir(path, 0700) < 0)
        assert_true(exists(path));
}

static inline const char *contents(const char *path)
{
    static char text[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return "(not there)";
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* A blob as another program may have left it. */
static inline void make_blob(const char *hex, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "store/blobs/sha256/%.2s", hex);
    make_dir(path);
    snprintf(path, sizeof path, "store/blobs/sha256/%.2s/%s", hex, hex);
    make_dir(path);
    snprintf(path, sizeof path, "store/blobs/sha256/%.2s/%s/data", hex, hex);
    make_file(path, text);
}

/* Run `body` in another process, which holds what it took until rig_release().  Returns
 * when it did what it had to. */
struct other {
    pid_t pid;
    int told, hold;
};

static inline struct other rig_other(void (*body)(void))
{
    int told[2], hold[2];
    assert_int_equal(pipe2(told, O_CLOEXEC), 0);
    assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(told[0]);
        close(hold[1]);
        body();
        char byte = 'x';
        if (write(told[1], &byte, 1) != 1)
            _exit(1);
        _exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(told[1]);
    close(hold[0]);
    char byte;
    assert_int_equal(read(told[0], &byte, 1), 1);
    return (struct other){ pid, told[0], hold[1] };
}

static inline void rig_release(struct other *o)
{
    close(o->hold);
    close(o->told);
    assert_int_equal(waitpid(o->pid, NULL, 0), o->pid);
}
