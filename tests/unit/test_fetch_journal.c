/*
 * What journal.h promises: what was marked is found again, and what is torn is not.
 */
#include "journal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "test.h"

enum { PAGE = 4096, DATA_SIZE = 1000 };

static const struct identity file = { .source = "https://a/b", .etag = "\"e\"", .size = DATA_SIZE };

struct rig {
    char path[32];
    int dir;
    struct journal journal;
};

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    strcpy(r->path, "/tmp/inferd-XXXXXX");
    assert_non_null(mkdtemp(r->path));
    r->dir = open(r->path, O_RDONLY | O_DIRECTORY);
    assert_int_equal(journal_open(&r->journal, r->dir, "journal", NULL), OK);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    journal_close(&r->journal);
    unlinkat(r->dir, "journal", 0);
    close(r->dir);
    rmdir(r->path);
    free(r);
    return 0;
}

static void begin(struct rig *r)
{
    assert_int_equal(journal_begin(&r->journal, &file, NULL), OK);
}

static void mark(struct rig *r, uint64_t to)
{
    const struct spans s = { 1, { { 0, to } } };
    assert_int_equal(journal_mark(&r->journal, &s, NULL), OK);
}

static void mark_flushed(struct rig *r, uint64_t to)
{
    const struct spans s = { 1, { { 0, to } } };
    assert_int_equal(journal_mark_flushed(&r->journal, &s, NULL), OK);
}

/* As the next run finds it; 0 if it finds nothing. */
static uint64_t found(struct rig *r, uint64_t data_size)
{
    struct identity identity;
    struct spans spans;
    journal_close(&r->journal);
    assert_int_equal(journal_open(&r->journal, r->dir, "journal", NULL), OK);
    if (!journal_load(&r->journal, data_size, &identity, &spans))
        return 0;
    assert_string_equal(identity.source, file.source);
    assert_string_equal(identity.etag, file.etag);
    assert_int_equal(identity.size, file.size);
    return spans_total(&spans);
}

static void spoil(struct rig *r, off_t at)
{
    assert_int_equal(pwrite(r->journal.fd, "?", 1, at), 1);
}

static void nothing_is_found_in_nothing(void **state)
{
    assert_int_equal(found(*state, DATA_SIZE), 0);
    begin(*state);
    assert_int_equal(found(*state, DATA_SIZE), 0);
}

static void what_was_written_is_found(void **state)
{
    begin(*state);
    mark(*state, 10);
    mark(*state, 20);
    assert_int_equal(found(*state, DATA_SIZE), 20);
}

static void without_the_written_page_the_flushed_ones_count(void **state)
{
    begin(*state);
    mark_flushed(*state, 10);
    mark_flushed(*state, 20);
    mark(*state, 30);
    spoil(*state, PAGE + 20);
    assert_int_equal(found(*state, DATA_SIZE), 20);
    spoil(*state, 2 * PAGE + 20); /* the second flush went there */
    assert_int_equal(found(*state, DATA_SIZE), 10);
    spoil(*state, 3 * PAGE + 20);
    assert_int_equal(found(*state, DATA_SIZE), 0);
}

static void after_a_restart_of_the_machine_only_flushed_bytes_count(void **state)
{
    struct rig *r = *state;
    begin(r);
    mark_flushed(r, 10);
    memcpy(r->journal.boot, "another", 7);
    mark(r, 30);
    assert_int_equal(found(r, DATA_SIZE), 10);
}

static void a_new_beginning_forgets(void **state)
{
    begin(*state);
    mark_flushed(*state, 10);
    mark(*state, 20);
    begin(*state);
    assert_int_equal(found(*state, DATA_SIZE), 0);
}

static void more_than_the_data_file_holds_is_a_lie(void **state)
{
    begin(*state);
    mark(*state, 20);
    assert_int_equal(found(*state, 19), 0);
    assert_int_equal(found(*state, 20), 20);
}

static void flushing_goes_on_after_a_restart(void **state)
{
    begin(*state);
    mark_flushed(*state, 10);
    assert_int_equal(found(*state, DATA_SIZE), 10);
    mark_flushed(*state, 20);
    assert_int_equal(found(*state, DATA_SIZE), 20);
}

static void links_are_refused(void **state)
{
    struct rig *r = *state;
    struct journal other;
    assert_int_equal(symlinkat("journal", r->dir, "link"), 0);
    assert_int_equal(journal_open(&other, r->dir, "link", NULL), ERR_CONFIG);
    assert_int_equal(unlinkat(r->dir, "link", 0), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_found_in_nothing),
        TEST(what_was_written_is_found),
        TEST(without_the_written_page_the_flushed_ones_count),
        TEST(after_a_restart_of_the_machine_only_flushed_bytes_count),
        TEST(a_new_beginning_forgets),
        TEST(more_than_the_data_file_holds_is_a_lie),
        TEST(flushing_goes_on_after_a_restart),
        TEST(links_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
