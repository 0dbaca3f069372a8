/*
 * test_import.c - files that are there already become blobs: imported by somebody, or
 * adopted from another tool's cache.
 */
#include "store_rig.h"

#include <signal.h>
#include <sys/resource.h>

#include "store/import.h"
#include "store/manifest.h"
#include "store/staging.h"

#define ABC_DIR "store/blobs/sha256/ba/" ABC

static const char abc_upper[] = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";

static struct import_order order(const char *file, const char *name)
{
    return (struct import_order){ .file = file, .name = name, .produced_by = "inferdctl/9" };
}

/* --- import ----------------------------------------------------------------------- */

static void an_imported_file_is_a_model(void **state UNUSED)
{
    make_dir("dir");
    make_file("dir/a b.gguf", "abc");
    struct import_order o = order("dir/a b.gguf", "m");
    struct import_result r;
    FINE(store_import(&rig, &o, &r, why));
    assert_string_equal(r.digest.hex, ABC);
    assert_int_equal(r.size, 3);
    assert_false(r.was_there);
    assert_true(r.how == TAKEN_COPIED || r.how == TAKEN_SHARED);
    assert_string_equal(contents(ABC_DIR "/data"), "abc");
    assert_string_equal(contents("dir/a b.gguf"), "abc");
    assert_false(exists("store/locks/.import-m"));

    CLEANUP(manifest_done) struct manifest m = { 0 };
    FINE(manifest_read(&rig, "m", &m, why));
    assert_true(digest_equal(&m.blob, &r.digest));
    assert_int_equal(m.size_bytes, 3);
    assert_null(m.license);
    assert_string_equal(m.registry, "local-import");
    assert_string_equal(m.filename, "a b.gguf");
    assert_string_equal(m.produced_by, "inferdctl/9");
}

static void importing_again_changes_nothing(void **state UNUSED)
{
    make_file("f", "abc");
    for (int i = 0; i < 2; i++) {
        struct import_order o = order("f", "m");
        o.link = i == 1;
        struct import_result r;
        FINE(store_import(&rig, &o, &r, why));
        FINE(store_import(&rig, &o, &r, why));
        assert_true(r.was_there);
        assert_string_equal(contents(ABC_DIR "/data"), "abc");
        assert_false(exists("store/locks/.import-m"));
    }
}

static void an_import_heals_a_blob_that_is_wrong(void **state UNUSED)
{
    make_file("f", "abc");
    FINE(store_begin_write(&rig, why));
    make_blob(ABC, "xyz");
    struct import_order o = order("f", "m");
    struct import_result r;
    FINE(store_import(&rig, &o, &r, why));
    assert_string_equal(contents(ABC_DIR "/data"), "abc");
}

static void the_expected_digest_may_have_either_case(void **state UNUSED)
{
    make_file("f", "abc");
    struct import_order o = order("f", "m");
    o.expect_sha256 = abc_upper;
    struct import_result r;
    FINE(store_import(&rig, &o, &r, why));
}

static void other_bytes_than_expected_are_not_imported(void **state UNUSED)
{
    make_file("f", "abc");
    struct import_order o = order("f", "m");
    o.expect_sha256 = EMPTY;
    struct import_result r;
    for (int i = 0; i < 2; i++) {
        o.link = i == 1;
        FAILS(store_import(&rig, &o, &r, why), ERR_MISMATCH,
              "SHA-256 mismatch: expected " EMPTY ", file is " ABC " (nothing imported)");
    }
    assert_string_equal(contents("f"), "abc");
    assert_false(exists("store/blobs/sha256/ba"));
    assert_false(exists("store/manifests/m.json"));
    assert_false(exists("store/locks/.import-m"));
}

static void a_wrong_order_makes_nothing(void **state UNUSED)
{
    make_file("f", "abc");
    make_dir("dir");
    struct import_result r;
    struct import_order o = order("f", "../../m");
    FAILS(store_import(&rig, &o, &r, why), ERR_INVALID_REQUEST, "invalid model name");
    o = order("f", "m");
    o.expect_sha256 = "xyz";
    FAILS(store_import(&rig, &o, &r, why), ERR_INVALID_REQUEST,
          "--expect-sha256 must be 64 hex characters (got \"xyz\")");
    o = order("dir", "m");
    FAILS(store_import(&rig, &o, &r, why), ERR_INVALID_REQUEST, "dir is not a regular file");
    assert_int_equal(mkfifo("fifo", 0600), 0);
    o = order("fifo", "m");
    FAILS(store_import(&rig, &o, &r, why), ERR_INVALID_REQUEST, "fifo is not a regular file");
    o = order("nowhere", "m");
    FAILS(store_import(&rig, &o, &r, why), ERR_NOT_FOUND, "nowhere");
    assert_false(exists("store"));
}

static void a_planted_staging_link_is_refused_and_a_file_replaced(void **state UNUSED)
{
    make_file("f", "abc");
    make_file("victim", "precious");
    FINE(store_begin_write(&rig, why));
    assert_int_equal(symlink("../../victim", "store/locks/.import-m"), 0);
    struct import_order o = order("f", "m");
    struct import_result r;
    FAILS(store_import(&rig, &o, &r, why), ERR_CONFIG, "is a symbolic link (refused)");
    assert_string_equal(contents("victim"), "precious");
    assert_int_equal(unlink("store/locks/.import-m"), 0);
    make_file("store/locks/.import-m", "left behind, and longer");
    FINE(store_import(&rig, &o, &r, why));
    assert_string_equal(contents(ABC_DIR "/data"), "abc");
}

static void take_name(void)
{
    struct error error;
    struct store s;
    int fd;
    if (store_open(&s, "store", &error) || store_begin_write(&s, &error) ||
        store_lock_name(&s, "m", "written", false, &fd, &error))
        _exit(1);
}

static void a_name_that_is_being_written_is_busy(void **state UNUSED)
{
    make_file("f", "abc");
    struct other other = rig_other(take_name);
    struct import_order o = order("f", "m");
    struct import_result r;
    FAILS(store_import(&rig, &o, &r, why), ERR_BUSY,
          "model \"m\" is being written by another process");
    rig_release(&other);
}

static ino_t inode(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_ino;
}

static void a_link_is_made_only_of_what_others_cannot_write_to(void **state UNUSED)
{
    struct import_result r;
    struct import_order o = order("f", "m");
    make_file("f", "abc");
    o.link = true;
    assert_int_equal(chmod("f", 0660), 0);
    FINE(store_import(&rig, &o, &r, why));
    assert_int_not_equal(r.how, TAKEN_LINKED);
    assert_int_not_equal(inode("f"), inode(ABC_DIR "/data"));
    assert_int_equal(chmod("f", 0602), 0);
    FINE(store_import(&rig, &o, &r, why));
    assert_int_not_equal(r.how, TAKEN_LINKED);

    assert_int_equal(chmod("f", 0644), 0);
    FINE(store_import(&rig, &o, &r, why));
    if (r.how != TAKEN_SHARED) { /* what the disk can do goes first */
        assert_int_equal(r.how, TAKEN_LINKED);
        assert_int_equal(inode("f"), inode(ABC_DIR "/data"));
    }
}

static void a_full_disk_is_told_and_leaves_nothing(void **state UNUSED)
{
    make_file("f", "abc");
    struct import_order o = order("f", "small");
    struct import_result r;
    FINE(store_import(&rig, &o, &r, why));
    if (r.how == TAKEN_SHARED)
        return; /* shared blocks need no room */
    o = order("f", "m");
    int fd = open("f", O_WRONLY | O_CLOEXEC);
    /* A hole larger than any disk: refused before the first byte is read. */
    if (ftruncate(fd, INT64_C(1) << 43) == 0)
        FAILS(store_import(&rig, &o, &r, why), ERR_NO_SPACE, "are missing");
    assert_int_equal(ftruncate(fd, 3 << 20), 0);
    close(fd);
    struct rlimit before, limit = { 1 << 20, 1 << 20 };
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    FAILS(store_import(&rig, &o, &r, why), ERR_SYSTEM, "cannot write");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(exists("store/locks/.import-m"));
    assert_false(exists("store/manifests/m.json"));
}

static void a_copy_is_read_again(void **state UNUSED)
{
    FINE(store_begin_write(&rig, why));
    make_file("f", "abc");
    CLEANUP(close_fd) int source = open("f", O_RDONLY | O_CLOEXEC);
    CLEANUP(staging_done) struct staging st = STAGING_NONE;
    FINE(staging_take(&st, &rig, "m", source, "f", false, NULL, why));
    assert_string_equal(st.digest.hex, ABC);
    if (st.how != TAKEN_COPIED)
        return; /* nothing was written that could have gone wrong */
    FINE(staging_verify(&st, NULL, why));
    make_file("store/locks/.import-m", "");
    FAILS(staging_verify(&st, NULL, why), ERR_MISMATCH,
          "copy verification failed: wrote " ABC " but store holds " EMPTY);
    assert_int_equal(unlink("store/locks/.import-m"), 0);
    make_file("store/locks/.import-m", "evil");
    FAILS(staging_publish(&st, why), ERR_CONFIG, "was replaced");
}

/* --- adoption ------------------------------------------------------------------------- */

static enum err adopt(const char *const *dirs, uint64_t size, struct adopt_result *r,
                      struct error *why)
{
    struct digest d = rig_digest(ABC);
    struct adopt_order o = { .name = "m", .digest = &d, .size = size, .dirs = dirs };
    return store_adopt(&rig, &o, r, why);
}

/* A file of this path is taken in. */
static void expect_adopted(const char *path, const char *const *dirs)
{
    struct adopt_result r;
    make_file(path, "abc");
    FINE(adopt(dirs, 3, &r, why));
    assert_non_null(strstr(r.source, path));
    assert_int_equal(r.size, 3);
    assert_int_not_equal(r.how, TAKEN_COPIED); /* it is ours alone, and of the same disk */
    assert_string_equal(contents(ABC_DIR "/data"), "abc");
    assert_string_equal(contents(path), "abc");
    assert_false(exists("store/locks/.import-m"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(ABC_DIR "/data"), 0);
}

static void caches_of_other_tools_are_looked_into(void **state UNUSED)
{
    char extra[128];
    snprintf(extra, sizeof extra, "%s/extra", rig_home);
    const char *dirs[] = { "nowhere", extra, NULL };
    FINE(store_begin_write(&rig, why));
    static const char *const made[] = { ".ollama",
                                        ".ollama/models",
                                        ".ollama/models/blobs",
                                        ".cache",
                                        ".cache/huggingface",
                                        ".cache/huggingface/hub",
                                        ".cache/huggingface/hub/models--a--b",
                                        ".cache/huggingface/hub/models--a--b/blobs",
                                        "extra",
                                        "extra/blobs",
                                        "hf",
                                        "hf/hub",
                                        "hf/hub/x",
                                        "hf/hub/x/blobs" };
    for (size_t i = 0; i < ARRAY_LEN(made); i++)
        make_dir(made[i]);
    expect_adopted(".ollama/models/blobs/sha256-" ABC, NULL);
    expect_adopted(".cache/huggingface/hub/models--a--b/blobs/" ABC, NULL);
    expect_adopted("extra/" ABC, dirs);
    expect_adopted("extra/sha256-" ABC, dirs);
    expect_adopted("extra/blobs/" ABC, dirs);
    char hf[128];
    snprintf(hf, sizeof hf, "%s/hf", rig_home);
    setenv("HF_HOME", hf, 1);
    expect_adopted("hf/hub/x/blobs/" ABC, NULL);
}

static void what_is_not_what_its_name_says_is_passed_over(void **state UNUSED)
{
    const char *dirs[] = { "a", "b", "c", NULL };
    struct adopt_result r;
    FINE(store_begin_write(&rig, why));
    make_dir("a");
    make_dir("b");
    make_dir("c");
    FAILS(adopt(dirs, 0, &r, why), ERR_NOT_FOUND, "no other tool has sha256:" ABC);
    make_file("a/" ABC, "xyz");
    make_file("a/sha256-" ABC, "longer");
    assert_int_equal(symlink("../c/" ABC, "b/" ABC), 0);
    FAILS(adopt(dirs, 3, &r, why), ERR_NOT_FOUND, "no other tool");
    assert_false(exists(ABC_DIR "/data"));
    assert_false(exists("store/locks/.import-m"));
    assert_string_equal(contents("a/" ABC), "xyz");

    make_file("c/" ABC, "abc");
    FINE(adopt(dirs, 3, &r, why));
    assert_string_equal(r.source, "c/" ABC);
    FAILS(adopt(dirs, 4, &r, why), ERR_NOT_FOUND, "no other tool");
}

static void a_shared_cache_is_copied_from(void **state UNUSED)
{
    const char *dirs[] = { "a", NULL };
    struct adopt_result r;
    FINE(store_begin_write(&rig, why));
    make_dir("a");
    make_file("a/" ABC, "abc");
    assert_int_equal(chmod("a/" ABC, 0666), 0);
    FINE(adopt(dirs, 0, &r, why));
    assert_int_not_equal(r.how, TAKEN_LINKED);
    assert_int_not_equal(inode("a/" ABC), inode(ABC_DIR "/data"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(an_imported_file_is_a_model),
        RIG_TEST(importing_again_changes_nothing),
        RIG_TEST(an_import_heals_a_blob_that_is_wrong),
        RIG_TEST(the_expected_digest_may_have_either_case),
        RIG_TEST(other_bytes_than_expected_are_not_imported),
        RIG_TEST(a_wrong_order_makes_nothing),
        RIG_TEST(a_planted_staging_link_is_refused_and_a_file_replaced),
        RIG_TEST(a_name_that_is_being_written_is_busy),
        RIG_TEST(a_link_is_made_only_of_what_others_cannot_write_to),
        RIG_TEST(a_full_disk_is_told_and_leaves_nothing),
        RIG_TEST(a_copy_is_read_again),
        RIG_TEST(caches_of_other_tools_are_looked_into),
        RIG_TEST(what_is_not_what_its_name_says_is_passed_over),
        RIG_TEST(a_shared_cache_is_copied_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
