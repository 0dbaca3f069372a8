/*
 * test_writer.c - lines on their way to the disk.
 */
#include "log_rig.h"

#include "journal/writer.h"

static uv_loop_t loop;
static struct writer *writer;
static bool was_stuck;

static int set_up(void **state)
{
    struct error error;
    was_stuck = false;
    if (rig_set_up(state) || uv_loop_init(&loop))
        return -1;
    return (int)writer_new(&loop, rig.dir, &writer, &error);
}

static int tear_down(void **state)
{
    writer_free(writer);
    return uv_loop_close(&loop) ? -1 : rig_tear_down(state);
}

static void on_stuck(void *owner UNUSED)
{
    was_stuck = true;
}

static void add(const char *text)
{
    struct record r;
    record_init(&r, "test", LOG_INFO, "line");
    record_text(&r, "text", text);
    writer_add(writer, &r);
}

static void close_writer(void)
{
    writer_close(writer, 10000, on_stuck, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_false(was_stuck);
}

static void run_until(bool (*condition)(void))
{
    uv_timer_t alive;
    uv_timer_init(&loop, &alive); /* the writer's own timer keeps nothing alive */
    uv_timer_start(&alive, (uv_timer_cb)on_stuck, 60000, 0);
    while (!condition() && !was_stuck)
        uv_run(&loop, UV_RUN_ONCE);
    assert_false(was_stuck);
    uv_close((uv_handle_t *)&alive, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
}

static size_t count_lines(const char *text)
{
    size_t n = 0;
    for (; (text = strchr(text, '\n')); text++)
        n++;
    return n;
}

static bool is_broken(void)
{
    return !writer_works(writer);
}

static bool works(void)
{
    return writer_works(writer);
}

static bool is_written(void)
{
    return size_of(0) > 0;
}

/* A file where the directory should be. */
static void block_directory(void)
{
    FILE *f = fopen(rig.dir, "w");
    fclose(f);
}

static void nothing_said_nothing_made(void **state UNUSED)
{
    close_writer();
    assert_int_equal(access(rig.dir, F_OK), -1);
}

static void lines_are_written_by_themselves(void **state UNUSED)
{
    add("one");
    assert_int_equal(size_of(0), -1); /* not by the loop */
    run_until(is_written);
    char *text = text_of(0);
    assert_non_null(strstr(text, "\"text\":\"one\""));
    free(text);
    close_writer();
}

static void closing_writes_what_is_queued(void **state UNUSED)
{
    for (int i = 0; i < 2000; i++)
        add("line");
    close_writer();
    char *text = text_of(0);
    assert_int_equal(count_lines(text), 2000);
    free(text);
    assert_int_equal(writer_lost(writer), 0);
}

static void secrets_are_taken_out(void **state UNUSED)
{
    add("before hf_0123456789abcdefghij after");
    close_writer();
    char *text = text_of(0);
    assert_non_null(strstr(text, "before [REDACTED:api-key] after"));
    free(text);
}

static void what_is_too_much_is_counted(void **state UNUSED)
{
    char text[200];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    size_t n = 0;
    for (; writer_lost(writer) < 7; n++)
        add(text);
    assert_true(n * sizeof text < WRITER_BYTES_MAX);
    close_writer();
    char *log = text_of(0);
    assert_int_equal(count_lines(log), n - 7 + 1);
    assert_non_null(strstr(log, "\"lost\":7,\"msg\":\"lines_lost\""));
    free(log);
}

static void a_disk_that_says_no_loses_nothing_at_first(void **state UNUSED)
{
    block_directory();
    add("one");
    run_until(is_broken);
    add("two");
    assert_int_equal(unlink(rig.dir), 0);
    run_until(works);
    close_writer();
    char *text = text_of(0);
    assert_int_equal(count_lines(text), 2);
    assert_true(strstr(text, "\"one\"") < strstr(text, "\"two\""));
    assert_null(strstr(text, "lines_lost"));
    free(text);
}

static bool said_how_many(void)
{
    CLEANUP(free_ptr) char *text = size_of(0) > 0 ? text_of(0) : NULL;
    return text && strstr(text, "\"lost\":7,\"msg\":\"lines_lost\"");
}

static void a_disk_that_says_no_for_long_is_told_of(void **state UNUSED)
{
    block_directory();
    add("one");
    run_until(is_broken);
    while (writer_lost(writer) < 7)
        add("more");
    assert_int_equal(unlink(rig.dir), 0);
    run_until(said_how_many);
    add("last");
    close_writer();
    CLEANUP(free_ptr) char *text = text_of(0);
    assert_non_null(strstr(text, "\"text\":\"last\""));
}

static void closing_gives_a_broken_disk_up(void **state UNUSED)
{
    block_directory();
    add("one");
    run_until(is_broken);
    add("two");
    close_writer();
    assert_true(is_broken());
}

/* --- a disk that hangs ------------------------------------------------------ */

static uv_sem_t release;
static uv_work_t blockers[64];

static void block(uv_work_t *work UNUSED)
{
    uv_sem_wait(&release);
}

static void on_stuck_release(void *owner UNUSED)
{
    was_stuck = true;
    for (size_t i = 0; i < ARRAY_LEN(blockers); i++)
        uv_sem_post(&release);
}

static void a_write_that_hangs_is_told(void **state UNUSED)
{
    uv_sem_init(&release, 0);
    for (size_t i = 0; i < ARRAY_LEN(blockers); i++)
        uv_queue_work(&loop, &blockers[i], block, NULL);
    add("one");
    writer_close(writer, 10, on_stuck_release, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(was_stuck);
    uv_sem_destroy(&release);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(nothing_said_nothing_made),
        TEST(lines_are_written_by_themselves),
        TEST(closing_writes_what_is_queued),
        TEST(secrets_are_taken_out),
        TEST(what_is_too_much_is_counted),
        TEST(a_disk_that_says_no_loses_nothing_at_first),
        TEST(a_disk_that_says_no_for_long_is_told_of),
        TEST(closing_gives_a_broken_disk_up),
        TEST(a_write_that_hangs_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
