/*
 * test_log_file.c - the activity log on disk.
 */
#include "log_rig.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

static struct log_file file;

static int set_up(void **state)
{
    struct error error;
    return rig_set_up(state) ? -1 : (int)log_file_init(&file, rig.dir, &error);
}

static int tear_down(void **state)
{
    log_file_done(&file);
    return rig_tear_down(state);
}

/* Append, as a writer does: how many bytes are on disk. */
static size_t try(const char *lines, enum err want)
{
    struct error error = { 0 };
    size_t written;
    enum err e = log_file_append(&file, lines, strlen(lines), &written, &error);
    if (e != want)
        fail_msg("got %d (%s)", e, error.message);
    return written;
}

static void append(const char *lines)
{
    assert_int_equal(try(lines, OK), strlen(lines));
}

/* Lines of `each` bytes, `n` of them; to be freed. */
static char *many(size_t n, size_t each)
{
    char *text = malloc(n * each + 1);
    memset(text, 'x', n * each);
    for (size_t i = 1; i <= n; i++)
        text[i * each - 1] = '\n';
    text[n * each] = '\0';
    return text;
}

static void fill_up_to(off_t size)
{
    char *lines = many(1, (size_t)size);
    append(lines);
    free(lines);
}

static void lines_are_appended(void **state UNUSED)
{
    append("one\n");
    append("two\nthree\n");
    assert_text(0, "one\ntwo\nthree\n");
}

static void only_the_owner_may_read(void **state UNUSED)
{
    struct stat st;
    append("one\n");
    assert_int_equal(lstat(path_of(0), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(lstat(rig.dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void a_file_open_to_others_is_closed_to_them(void **state UNUSED)
{
    struct stat st;
    append("one\n");
    assert_int_equal(chmod(path_of(0), 0644), 0);
    log_file_done(&file);
    struct error error;
    assert_int_equal(log_file_init(&file, rig.dir, &error), OK);
    append("two\n");
    assert_int_equal(lstat(path_of(0), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_text(0, "one\ntwo\n");
}

static void exactly_the_limit_does_not_rotate(void **state UNUSED)
{
    fill_up_to(LOG_FILE_BYTES_MAX - 4);
    append("one\n");
    assert_int_equal(size_of(0), LOG_FILE_BYTES_MAX);
    assert_int_equal(size_of(1), -1);
    append("two\n");
    assert_int_equal(size_of(1), LOG_FILE_BYTES_MAX);
    assert_text(0, "two\n");
}

static void one_byte_more_rotates_before(void **state UNUSED)
{
    fill_up_to(LOG_FILE_BYTES_MAX - 3);
    append("one\n");
    assert_int_equal(size_of(1), LOG_FILE_BYTES_MAX - 3);
    assert_text(0, "one\n");
}

static void what_fits_goes_into_the_old_file(void **state UNUSED)
{
    fill_up_to(LOG_FILE_BYTES_MAX - 5);
    append("one\ntwo\n");
    assert_int_equal(size_of(1), LOG_FILE_BYTES_MAX - 1);
    assert_text(0, "two\n");
}

static void three_generations_are_kept(void **state UNUSED)
{
    for (int i = 0; i < 6; i++)
        fill_up_to(LOG_FILE_BYTES_MAX - i);
    for (int i = 0; i <= 3; i++)
        assert_int_equal(size_of(i), LOG_FILE_BYTES_MAX - 5 + i);
    assert_int_equal(size_of(4), -1);
}

static void a_giant_has_a_file_of_its_own(void **state UNUSED)
{
    append("one\n");
    fill_up_to(LOG_FILE_BYTES_MAX + 10);
    append("two\n");
    assert_text(0, "two\n");
    assert_int_equal(size_of(1), LOG_FILE_BYTES_MAX + 10);
    assert_text(2, "one\n");
}

static void a_directory_that_went_is_made_again(void **state UNUSED)
{
    append("one\n");
    remove_tree(rig.dir);
    append("two\n");
    assert_text(0, "two\n");
}

static void a_directory_that_was_moved_keeps_its_lines(void **state UNUSED)
{
    char moved[192];
    append("one\n");
    snprintf(moved, sizeof moved, "%s/moved", rig.home);
    assert_int_equal(rename(rig.dir, moved), 0);
    append("two\n");
    assert_text(0, "two\n");
}

static void a_file_that_was_renamed_is_left_alone(void **state UNUSED)
{
    char old[192];
    append("one\n");
    strcpy(old, path_of(7));
    assert_int_equal(rename(path_of(0), old), 0);
    append("two\n");
    assert_text(0, "two\n");
    assert_text(7, "one\n");
}

static void half_a_line_is_closed(void **state UNUSED)
{
    append("one\n");
    FILE *f = fopen(path_of(0), "a");
    fputs("{\"half", f);
    fclose(f);
    log_file_done(&file);
    struct error error;
    assert_int_equal(log_file_init(&file, rig.dir, &error), OK);
    append("two\n");
    assert_text(0, "one\n{\"half\ntwo\n");
}

/* --- what must not be written to -------------------------------------------- */

static char *elsewhere(void)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/elsewhere", rig.home);
    return path;
}

static void links_are_not_followed(void **state UNUSED)
{
    assert_int_equal(mkdir(rig.dir, 0700), 0);
    assert_int_equal(symlink(elsewhere(), path_of(0)), 0);
    assert_int_equal(try("one\n", ERR_SYSTEM), 0);
    assert_int_equal(access(elsewhere(), F_OK), -1);
    assert_int_equal(unlink(path_of(0)), 0);
    append("two\n");
}

static void a_linked_directory_is_refused(void **state UNUSED)
{
    assert_int_equal(mkdir(elsewhere(), 0700), 0);
    assert_int_equal(symlink(elsewhere(), rig.dir), 0);
    assert_int_equal(try("one\n", ERR_SYSTEM), 0);
}

static void a_file_of_two_names_is_refused(void **state UNUSED)
{
    append("one\n");
    assert_int_equal(link(path_of(0), elsewhere()), 0);
    log_file_done(&file);
    struct error error;
    assert_int_equal(log_file_init(&file, rig.dir, &error), OK);
    assert_int_equal(try("two\n", ERR_CONFIG), 0);
}

static void a_pipe_is_refused_without_waiting(void **state UNUSED)
{
    assert_int_equal(mkdir(rig.dir, 0700), 0);
    assert_int_equal(mkfifo(path_of(0), 0600), 0);
    assert_int_equal(try("one\n", ERR_CONFIG), 0);
}

static void a_directory_for_everybody_is_refused(void **state UNUSED)
{
    assert_int_equal(mkdir(rig.dir, 0700), 0);
    assert_int_equal(chmod(rig.dir, 0777), 0);
    assert_int_equal(try("one\n", ERR_CONFIG), 0);
    assert_int_equal(size_of(0), -1);
}

/* --- a full disk ------------------------------------------------------------ */

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
}

static void a_full_disk_gets_whole_lines_only(void **state UNUSED)
{
    signal(SIGXFSZ, SIG_IGN);
    limit_files(10);
    size_t written = try("one\ntwo\nthree\n", ERR_SYSTEM);
    limit_files(RLIM_INFINITY);
    assert_int_equal(written, 8);
    assert_text(0, "one\ntwo\n");
    append("three\n");
    assert_text(0, "one\ntwo\nthree\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(lines_are_appended),
        TEST(only_the_owner_may_read),
        TEST(a_file_open_to_others_is_closed_to_them),
        TEST(exactly_the_limit_does_not_rotate),
        TEST(one_byte_more_rotates_before),
        TEST(what_fits_goes_into_the_old_file),
        TEST(three_generations_are_kept),
        TEST(a_giant_has_a_file_of_its_own),
        TEST(a_directory_that_went_is_made_again),
        TEST(a_directory_that_was_moved_keeps_its_lines),
        TEST(a_file_that_was_renamed_is_left_alone),
        TEST(half_a_line_is_closed),
        TEST(links_are_not_followed),
        TEST(a_linked_directory_is_refused),
        TEST(a_file_of_two_names_is_refused),
        TEST(a_pipe_is_refused_without_waiting),
        TEST(a_directory_for_everybody_is_refused),
        TEST(a_full_disk_gets_whole_lines_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
