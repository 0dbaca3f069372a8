/*
 * test_store.c - where things lie, who may work on them, and what becomes a path.
 */
#include "store_rig.h"

#include <sched.h>
#include <signal.h>

#include "store/name.h"
#include "store/partial.h"

#define ABC_DIR     "store/blobs/sha256/ba/" ABC
#define ABC_PARTIAL "store/blobs/sha256/ba/.partial-" ABC

/* --- names and digests ------------------------------------------------------- */

static void a_name_is_refused_for_the_first_rule_it_breaks(void **state UNUSED)
{
    static const struct {
        const char *name, *message;
    } cases[] = {
        { "", "invalid model name \"\": must not be empty" },
        { ".hidden", "invalid model name \".hidden\": must not start with '.'" },
        { "../../x", "invalid model name \"../../x\": must not start with '.'" },
        { "a../x", "invalid model name \"a../x\": must not contain '..'" },
        { "a/b c", "invalid model name \"a/b c\": must not contain a path separator" },
        { "a\\b", "invalid model name \"a\\b\": must not contain a path separator" },
        { "a b",
          "invalid model name \"a b\": may contain only ASCII letters, digits, '.', '-' and '_'" },
        { "caf\xC3\xA9", "invalid model name \"caf\xC3\xA9\": may contain only ASCII letters, "
                         "digits, '.', '-' and '_'" },
        { "CON", "invalid model name \"CON\": must not be a Windows reserved device name" },
        { "nul.gguf",
          "invalid model name \"nul.gguf\": must not be a Windows reserved device name" },
        { "Lpt9.a.b", "invalid model name \"Lpt9.a.b\": must not be a Windows reserved device "
                      "name" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error error;
        assert_int_equal(model_name_check(cases[i].name, strlen(cases[i].name), &error),
                         ERR_INVALID_REQUEST);
        assert_string_equal(error.message, cases[i].message);
    }
}

static void a_name_has_at_most_128_bytes(void **state UNUSED)
{
    char name[1000];
    memset(name, 'a', sizeof name);
    struct error error;
    assert_int_equal(model_name_check(name, 128, &error), OK);
    assert_int_equal(model_name_check(name, 129, &error), ERR_INVALID_REQUEST);
    assert_non_null(strstr(error.message, "aaa\": must be at most 128 bytes"));
    assert_int_equal(model_name_check(name, sizeof name, &error), ERR_INVALID_REQUEST);
    assert_non_null(strstr(error.message, "aaa\": must be at most 128 bytes"));
    name[0] = '.'; /* the length comes first */
    assert_int_equal(model_name_check(name, 129, &error), ERR_INVALID_REQUEST);
    assert_non_null(strstr(error.message, "must be at most"));
}

static void a_nul_is_a_character_like_any_other(void **state UNUSED)
{
    struct error error;
    assert_int_equal(model_name_check("a\0b", 3, &error), ERR_INVALID_REQUEST);
    struct digest d;
    char hex[] = ABC;
    hex[10] = '\0';
    assert_int_equal(digest_read(hex, 64, &d, &error), ERR_INVALID_REQUEST);
}

static void usual_names_are_fine(void **state UNUSED)
{
    static const char *const names[] = { "gemma-4-e4b", "a",         "A_1.2-x", "con1", "com0",
                                         "com10",       "CONS.gguf", "a.",      "-x" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        FINE(model_name_check(names[i], strlen(names[i]), why));
}

static void a_digest_is_64_lower_case_hex_digits(void **state UNUSED)
{
    struct digest d;
    FINE(digest_read(ABC, 64, &d, why));
    assert_string_equal(d.hex, ABC);
    FAILS(digest_read(ABC, 63, &d, why), ERR_INVALID_REQUEST, "64 hex digits, not 63");
    FAILS(digest_read(ABC "0", 65, &d, why), ERR_INVALID_REQUEST, "64 hex digits, not 65");
    FAILS(digest_read("", 0, &d, why), ERR_INVALID_REQUEST, "not 0");
    for (const char *wrong = "ABFg/.G\n\xFF"; *wrong; wrong++) {
        char hex[] = ABC;
        hex[63] = *wrong;
        FAILS(digest_read(hex, 64, &d, why), ERR_INVALID_REQUEST, "character 64");
    }
    struct digest other = d;
    assert_true(digest_equal(&d, &other));
    other.hex[63] ^= 1;
    assert_false(digest_equal(&d, &other));
}

/* --- hashing -------------------------------------------------------------------- */

static enum err count_calls(void *ctx, uint64_t done, uint64_t total, struct error *error)
{
    int *calls = ctx;
    assert_true(done <= total);
    return ++*calls > 3 ? fail(error, ERR_CLOSED, "enough") : OK;
}

static void a_file_is_hashed_whatever_its_offset(void **state UNUSED)
{
    make_file("f", "abc");
    CLEANUP(close_fd) int fd = open("f", O_RDONLY | O_CLOEXEC);
    assert_int_equal(lseek(fd, 2, SEEK_SET), 2);
    struct digest d;
    uint64_t size;
    FINE(digest_file(fd, "f", NULL, &d, &size, why));
    assert_string_equal(d.hex, ABC);
    assert_int_equal(size, 3);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 2);
}

static void hashing_tells_and_can_be_ended(void **state UNUSED)
{
    CLEANUP(close_fd) int fd = open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int calls = 0;
    struct progress p = { count_calls, &calls };
    struct digest d;
    FINE(digest_file(fd, "f", &p, &d, NULL, why));
    assert_string_equal(d.hex, EMPTY);
    assert_int_equal(calls, 1);
    assert_int_equal(ftruncate(fd, 8 << 20), 0);
    calls = 0;
    FAILS(digest_file(fd, "f", &p, &d, NULL, why), ERR_CLOSED, "enough");
}

/* --- where the store is ----------------------------------------------------------- */

static void expect_root(const char *configured, const char *want)
{
    CLEANUP(free_ptr) char *root = NULL;
    FINE(store_find(configured, &root, why));
    assert_string_equal(root, want);
}

static void the_root_comes_from_the_first_that_says(void **state UNUSED)
{
    setenv("HOME", "/h", 1);
    expect_root(NULL, "/h/.local/share/models");
    setenv("XDG_DATA_HOME", "/xdg", 1);
    expect_root("", "/xdg/models");
    setenv("MODELS_HOME", "", 1);
    expect_root(NULL, "/xdg/models");
    setenv("MODELS_HOME", "/m", 1);
    expect_root(NULL, "/m");
    expect_root("/configured", "/configured");
    expect_root("~/x", "/h/x");
    expect_root("~x", "~x");
    unsetenv("MODELS_HOME");
    unsetenv("XDG_DATA_HOME");
    unsetenv("HOME");
    char *root = NULL;
    FAILS(store_find(NULL, &root, why), ERR_CONFIG, "HOME is not set");
}

static void reading_makes_nothing(void **state UNUSED)
{
    struct digest d = rig_digest(ABC);
    int fd = -1;
    FAILS(store_blob_open(&rig, &d, &fd, NULL, why), ERR_NOT_FOUND, "not in the model store");
    assert_int_equal(fd, -1);
    assert_false(exists("store"));
}

static void expect_mode(const char *path, mode_t mode)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, mode);
}

static void writing_makes_the_layout_for_us_alone(void **state UNUSED)
{
    FINE(store_begin_write(&rig, why));
    FINE(store_begin_write(&rig, why));
    static const char *const dirs[] = { "store", "store/blobs", "store/blobs/sha256",
                                        "store/manifests", "store/locks" };
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
        expect_mode(dirs[i], 0700);
    expect_mode("store/locks/.gc", 0600);
}

/* --- planted links ------------------------------------------------------------------ */

static void a_planted_directory_link_is_refused(void **state UNUSED)
{
    static const char *const names[] = { "store/blobs", "store/blobs/sha256", "store/manifests",
                                         "store/locks" };
    make_dir("elsewhere");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct store s;
        make_dir("store");
        if (i == 1)
            make_dir("store/blobs");
        assert_int_equal(symlink("/tmp", names[i]), 0);
        FAILS(store_open(&s, "store", why), ERR_CONFIG, "is a symbolic link (refused)");
        FAILS(store_begin_write(&rig, why), ERR_CONFIG, names[i]);
        store_done(&rig);
        assert_int_equal(unlink(names[i]), 0);
        FINE(store_open(&rig, "store", why));
    }
}

static void a_planted_link_below_blobs_is_refused(void **state UNUSED)
{
    static const char *const names[] = { "store/blobs/sha256/ba", ABC_DIR, ABC_DIR "/data" };
    struct digest d = rig_digest(ABC);
    FINE(store_begin_write(&rig, why));
    make_dir("elsewhere");
    make_file("elsewhere/data", "abc");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        int fd = -1;
        assert_int_equal(symlink(i < 2 ? "/tmp" : "/etc/hostname", names[i]), 0);
        FAILS(store_blob_open(&rig, &d, &fd, NULL, why), ERR_CONFIG,
              "is a symbolic link (refused)");
        assert_int_equal(unlink(names[i]), 0);
        if (i < 2)
            make_dir(names[i]);
    }
}

static void a_planted_partial_is_refused(void **state UNUSED)
{
    struct digest d = rig_digest(ABC);
    struct partial p;
    FINE(store_begin_write(&rig, why));
    make_dir("elsewhere");
    make_dir("store/blobs/sha256/ba");
    assert_int_equal(symlink("../../../../elsewhere", ABC_PARTIAL), 0);
    FAILS(partial_open(&p, &rig, &d, false, why), ERR_CONFIG, "is a symbolic link (refused)");
    assert_false(exists("elsewhere/data.tmp"));

    assert_int_equal(unlink(ABC_PARTIAL), 0);
    make_dir(ABC_PARTIAL);
    assert_int_equal(symlink("/tmp/inferd-nowhere", ABC_PARTIAL "/data.tmp"), 0);
    FAILS(partial_open(&p, &rig, &d, false, why), ERR_CONFIG, "is a symbolic link (refused)");

    assert_int_equal(unlink(ABC_PARTIAL "/data.tmp"), 0);
    assert_int_equal(mkfifo(ABC_PARTIAL "/data.tmp", 0600), 0);
    FAILS(partial_open(&p, &rig, &d, false, why), ERR_CONFIG, "is not a regular file");
}

/* --- locks ------------------------------------------------------------------------- */

static void take_name(void)
{
    struct error error;
    struct store s;
    int fd;
    if (store_open(&s, "store", &error) || store_begin_write(&s, &error) ||
        store_lock_name(&s, "m", "fetched", false, &fd, &error))
        _exit(1);
}

static void a_name_has_one_worker_until_it_dies(void **state UNUSED)
{
    CLEANUP(close_fd) int fd = -1;
    FINE(store_begin_write(&rig, why));
    struct other other = rig_other(take_name);
    FAILS(store_lock_name(&rig, "m", "fetched", false, &fd, why), ERR_BUSY,
          "model \"m\" is being fetched by another process");
    FINE(store_lock_name(&rig, "other", "fetched", false, &fd, why));
    close_fd(&fd);
    kill(other.pid, SIGKILL);
    FINE(store_lock_name(&rig, "m", "fetched", true, &fd, why));
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    rig_release(&other);
    FAILS(store_lock_name(&rig, "../m", "fetched", false, &fd, why), ERR_INVALID_REQUEST,
          "invalid model name");
}

static void take_partial(void)
{
    struct error error;
    struct store s;
    struct partial p;
    struct digest d = rig_digest(ABC);
    if (store_open(&s, "store", &error) || store_begin_write(&s, &error) ||
        partial_open(&p, &s, &d, false, &error))
        _exit(1);
}

static void a_partial_has_one_writer(void **state UNUSED)
{
    struct digest d = rig_digest(ABC);
    struct partial p;
    FINE(store_begin_write(&rig, why));
    struct other other = rig_other(take_partial);
    FAILS(partial_open(&p, &rig, &d, false, why), ERR_BUSY, "held by another process");
    kill(other.pid, SIGKILL);
    FINE(partial_open(&p, &rig, &d, true, why));
    rig_release(&other);
    partial_done(&p);
}

static void publish_partial(void)
{
    struct error error;
    struct store s;
    struct partial p;
    struct digest d = rig_digest(ABC);
    if (store_open(&s, "store", &error) || store_begin_write(&s, &error) ||
        partial_open(&p, &s, &d, true, &error) || write(p.fd, "abc", 3) != 3 ||
        partial_publish(&p, &error))
        _exit(1);
    /* Until it is released, the lock is held on what is the blob by now. */
}

static void a_published_partial_is_nobody_s_partial_any_more(void **state UNUSED)
{
    struct digest d = rig_digest(ABC);
    struct partial p;
    FINE(store_begin_write(&rig, why));
    struct other other = rig_other(publish_partial);
    FINE(partial_open(&p, &rig, &d, false, why));
    assert_true(p.fresh);
    assert_int_equal(write(p.fd, "wrong", 5), 5);
    assert_string_equal(contents(ABC_DIR "/data"), "abc");
    partial_done(&p);
    rig_release(&other);
}

/* Is somebody waiting for the lock of this file? */
static bool is_waited_for(int fd)
{
    struct stat st;
    char inode[32], line[256];
    bool waited_for = false;
    FILE *locks = fopen("/proc/locks", "re");
    if (!locks || fstat(fd, &st) < 0)
        _exit(1);
    snprintf(inode, sizeof inode, ":%llu ", (unsigned long long)st.st_ino);
    while (fgets(line, sizeof line, locks))
        waited_for = waited_for || (strstr(line, "-> FLOCK") && strstr(line, inode));
    fclose(locks);
    return waited_for;
}

static void publish_when_waited_for(int told)
{
    struct error error;
    struct store s;
    struct partial p;
    struct digest d = rig_digest(ABC);
    if (store_open(&s, "store", &error) || store_begin_write(&s, &error) ||
        partial_open(&p, &s, &d, true, &error) || write(told, "x", 1) != 1)
        _exit(1);
    while (!is_waited_for(p.fd))
        sched_yield();
    _exit(write(p.fd, "abc", 3) != 3 || partial_publish(&p, &error));
}

static void who_waited_for_a_partial_starts_a_new_one(void **state UNUSED)
{
    struct digest d = rig_digest(ABC);
    struct partial p;
    int told[2], status;
    char byte;
    FINE(store_begin_write(&rig, why));
    assert_int_equal(pipe2(told, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0)
        publish_when_waited_for(told[1]);
    assert_int_equal(read(told[0], &byte, 1), 1);
    FINE(partial_open(&p, &rig, &d, true, why));
    assert_true(p.fresh);
    assert_int_equal(write(p.fd, "wrong", 5), 5);
    assert_string_equal(contents(ABC_DIR "/data"), "abc");
    assert_string_equal(contents(ABC_PARTIAL "/data.tmp"), "wrong");
    partial_done(&p);
    close(told[0]);
    close(told[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* --- partials ------------------------------------------------------------------------ */

static void a_partial_is_kept_with_its_journal(void **state UNUSED)
{
    struct digest d = rig_digest(ABC);
    struct partial p;
    FINE(store_begin_write(&rig, why));
    FINE(partial_open(&p, &rig, &d, false, why));
    assert_true(p.fresh);
    assert_int_equal(write(p.fd, "ab", 2), 2);
    partial_done(&p);
    make_file(ABC_PARTIAL "/journal", "2");
    expect_mode(ABC_PARTIAL, 0700);
    expect_mode(ABC_PARTIAL "/data.tmp", 0600);

    FINE(partial_open(&p, &rig, &d, false, why));
    assert_false(p.fresh);
    assert_string_equal(contents(ABC_PARTIAL "/journal"), "2");
    assert_int_equal(faccessat(p.dir_fd, PARTIAL_JOURNAL, F_OK, 0), 0);
    partial_done(&p);
}

static void an_empty_partial_has_no_journal(void **state UNUSED)
{
    struct digest d = rig_digest(ABC);
    struct partial p;
    FINE(store_begin_write(&rig, why));
    make_dir("store/blobs/sha256/ba");
    make_dir(ABC_PARTIAL);
    make_file(ABC_PARTIAL "/journal", "2");
    FINE(partial_open(&p, &rig, &d, false, why));
    assert_true(p.fresh);
    assert_false(exists(ABC_PARTIAL "/journal"));
    partial_done(&p);
}

static void what_is_published_is_the_blob_and_nothing_is_left(void **state UNUSED)
{
    struct digest d = rig_digest(ABC);
    struct partial p;
    FINE(store_begin_write(&rig, why));
    FINE(partial_open(&p, &rig, &d, false, why));
    assert_int_equal(write(p.fd, "abc", 3), 3);
    make_file(ABC_PARTIAL "/journal", "2");
    make_file(ABC_PARTIAL "/journal.tmp", "3");
    FINE(partial_publish(&p, why));
    partial_done(&p);
    assert_string_equal(contents(ABC_DIR "/data"), "abc");
    expect_mode(ABC_DIR "/data", 0600);
    assert_false(exists(ABC_PARTIAL));

    char path[STORE_PATH_MAX];
    store_blob_path(&rig, &d, path);
    assert_string_equal(path, ABC_DIR "/data");
    store_partial_path(&rig, &d, path);
    assert_string_equal(path, ABC_PARTIAL "/data.tmp");
    CLEANUP(close_fd) int fd = -1;
    uint64_t size;
    FINE(store_blob_open(&rig, &d, &fd, &size, why));
    assert_int_equal(size, 3);
}

static void a_partial_that_was_replaced_is_not_published(void **state UNUSED)
{
    struct digest d = rig_digest(ABC);
    struct partial p;
    FINE(store_begin_write(&rig, why));
    FINE(partial_open(&p, &rig, &d, false, why));
    assert_int_equal(write(p.fd, "abc", 3), 3);
    make_file("evil", "evil");
    assert_int_equal(rename("evil", ABC_PARTIAL "/data.tmp"), 0);
    FAILS(partial_publish(&p, why), ERR_CONFIG, "finalise rename: ");
    assert_false(exists(ABC_DIR "/data"));
    partial_done(&p);
}

static void wrong_bytes_go_to_quarantine(void **state UNUSED)
{
    struct digest d = rig_digest(ABC);
    struct partial p;
    char first[STORE_PATH_MAX], second[STORE_PATH_MAX];
    FINE(store_begin_write(&rig, why));
    FINE(partial_open(&p, &rig, &d, false, why));
    assert_int_equal(write(p.fd, "abd", 3), 3);
    FINE(partial_quarantine(&p, "sha-mismatch", first, why));
    partial_done(&p);
    assert_false(exists(ABC_PARTIAL));
    assert_string_equal(contents(first), "abd");

    make_blob(ABC, "abe");
    FINE(store_blob_quarantine(&rig, &d, "sha_mismatch", second, why));
    assert_false(exists(ABC_DIR));
    assert_string_equal(contents(first), "abd");
    assert_string_equal(contents(second), "abe");

    const char *name = first + strlen("store/locks/quarantine/");
    assert_int_equal(strncmp(first, "store/locks/quarantine/20", 25), 0);
    assert_int_equal(strlen(name), strlen("20260102T030405Z-sha-mismatch.bin"));
    assert_string_equal(name + strlen("20260102T030405Z"), "-sha-mismatch.bin");
    assert_true(name[8] == 'T' && name[15] == 'Z');
}

/* --- room ------------------------------------------------------------------------------ */

static void room_is_five_percent_more_than_the_size(void **state UNUSED)
{
    uint64_t room, total;
    FINE(store_begin_write(&rig, why));
    FINE(store_room(&rig, &room, &total, why));
    assert_true(room > 0 && room <= total);
    FINE(store_check_room(&rig, 1000, why));
    FAILS(store_check_room(&rig, room - room / 50, why), ERR_NO_SPACE, "are missing");
    FAILS(store_check_room(&rig, total, why), ERR_NO_SPACE, "are missing");
    FAILS(store_check_room(&rig, UINT64_MAX, why), ERR_NO_SPACE, "18446744073709551615");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_refused_for_the_first_rule_it_breaks),
        cmocka_unit_test(a_name_has_at_most_128_bytes),
        cmocka_unit_test(a_nul_is_a_character_like_any_other),
        cmocka_unit_test(usual_names_are_fine),
        cmocka_unit_test(a_digest_is_64_lower_case_hex_digits),
        RIG_TEST(a_file_is_hashed_whatever_its_offset),
        RIG_TEST(hashing_tells_and_can_be_ended),
        RIG_TEST(the_root_comes_from_the_first_that_says),
        RIG_TEST(reading_makes_nothing),
        RIG_TEST(writing_makes_the_layout_for_us_alone),
        RIG_TEST(a_planted_directory_link_is_refused),
        RIG_TEST(a_planted_link_below_blobs_is_refused),
        RIG_TEST(a_planted_partial_is_refused),
        RIG_TEST(a_name_has_one_worker_until_it_dies),
        RIG_TEST(a_partial_has_one_writer),
        RIG_TEST(a_published_partial_is_nobody_s_partial_any_more),
        RIG_TEST(who_waited_for_a_partial_starts_a_new_one),
        RIG_TEST(a_partial_is_kept_with_its_journal),
        RIG_TEST(an_empty_partial_has_no_journal),
        RIG_TEST(what_is_published_is_the_blob_and_nothing_is_left),
        RIG_TEST(a_partial_that_was_replaced_is_not_published),
        RIG_TEST(wrong_bytes_go_to_quarantine),
        RIG_TEST(room_is_five_percent_more_than_the_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
