/*
 * test_journal.c - what stands in the lines of the activity log.
 */
#include "log_rig.h"

#include <jansson.h>
#include <signal.h>

#include "journal/journal.h"

static uv_loop_t loop;
static struct journal journal;

static int set_up(void **state)
{
    struct levels levels;
    struct error error;
    levels_init(&levels);
    if (rig_set_up(state) || uv_loop_init(&loop))
        return -1;
    return (int)journal_open(&journal, &loop, rig.dir, &levels, &error);
}

static int tear_down(void **state)
{
    journal_done(&journal);
    return uv_loop_close(&loop) ? -1 : rig_tear_down(state);
}

static void on_stuck(void *owner UNUSED)
{
    abort();
}

/* The only line that was written. */
static json_t *the_line(void)
{
    journal_close(&journal, 60000, on_stuck, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    CLEANUP(free_ptr) char *text = text_of(0);
    json_t *tree = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(tree);
    return tree;
}

static void assert_member(const json_t *line, const char *name, const char *want)
{
    const char *got = json_string_value(json_object_get(line, name));
    assert_non_null(got);
    assert_string_equal(got, want);
}

static void assert_number(const json_t *line, const char *name, long long want)
{
    assert_int_equal(json_integer_value(json_object_get(line, name)), want);
}

static struct caller known = { .uid = 1000, .number = 3, .label = (char *)"/bin/a" };
static struct caller unknown = { .uid = (uid_t)-1, .label = (char *)"" };

static struct report answered(const char *surface)
{
    return (struct report){
        .end = REPORT_DONE,
        .serial = 7,
        .origin = { &known, 4711, surface, "job" },
        .backend = "main",
        .kind = "mock",
        .stop = STOP_LENGTH,
        .prompt_tokens = 10,
        .completion_tokens = 5,
        .queue_us = 12,
        .first_text_us = 3456,
        .total_us = 7890,
    };
}

static void an_answer_on_v1_has_its_plain_name(void **state UNUSED)
{
    struct report r = answered("v1");
    journal_request(&journal, &r);
    json_t *line = the_line();
    assert_member(line, "msg", "request_done");
    assert_member(line, "stop_reason", "Length");
    assert_member(line, "peer_exe", "/bin/a");
    assert_number(line, "caller", 3);
    assert_number(line, "prompt_tokens", 10);
    assert_number(line, "completion_tokens", 5);
    assert_true(json_real_value(json_object_get(line, "first_token_ms")) == 3.456);
    assert_null(json_object_get(line, "longest_gap_ms"));
    json_decref(line);
}

static void other_surfaces_have_theirs_before_it(void **state UNUSED)
{
    struct report r = answered("v2_blob");
    journal_request(&journal, &r);
    json_t *line = the_line();
    assert_member(line, "msg", "v2_request_done");
    assert_member(line, "surface", "v2_blob");
    assert_number(line, "input_tokens", 10);
    assert_number(line, "output_tokens", 5);
    json_decref(line);
}

static void a_refusal_has_a_code_and_no_numbers(void **state UNUSED)
{
    struct report r = {
        .end = REPORT_REFUSED,
        .error = ERR_QUEUE_FULL,
        .origin = { &unknown, -1, "embed", NULL },
        .queue_us = -1,
        .first_text_us = -1,
        .total_us = -1,
    };
    journal_request(&journal, &r);
    json_t *line = the_line();
    assert_member(line, "msg", "embed_request_refused");
    assert_member(line, "code", "queue_full");
    assert_number(line, "peer_uid", -1);
    static const char *const absent[] = { "req_id",       "serial",   "backend", "peer_exe",
                                          "input_tokens", "queue_ms", "total_ms" };
    for (size_t i = 0; i < ARRAY_LEN(absent); i++)
        assert_null(json_object_get(line, absent[i]));
    json_decref(line);
}

static void an_error_of_ours_has_the_code_that_clients_see(void **state UNUSED)
{
    struct report r = answered("v1");
    r.end = REPORT_FAILED;
    r.error = ERR_SYSTEM;
    journal_request(&journal, &r);
    json_t *line = the_line();
    assert_member(line, "msg", "request_error_mid_stream");
    assert_member(line, "level", "warn");
    assert_member(line, "code", "internal");
    json_decref(line);
}

static void a_death_names_its_signal(void **state UNUSED)
{
    struct engine_death death = { .backend = "main",
                                  .kind = "mock",
                                  .pid = 9,
                                  .signal = SIGILL,
                                  .phase = "mmap",
                                  .cpu_variant = "haswell",
                                  .lost = 3 };
    journal_engine_died(&journal, &death);
    json_t *line = the_line();
    assert_member(line, "signal", "SIGILL");
    assert_member(line, "phase", "mmap");
    assert_member(line, "cpu_variant", "haswell");
    assert_number(line, "requests_lost", 3);
    assert_null(json_object_get(line, "exit_code"));
    json_decref(line);
}

static void an_exit_has_a_code(void **state UNUSED)
{
    struct engine_death death = {
        .backend = "main", .kind = "mock", .status = 3, .phase = "ready"
    };
    journal_engine_died(&journal, &death);
    json_t *line = the_line();
    assert_number(line, "exit_code", 3);
    assert_null(json_object_get(line, "signal"));
    json_decref(line);
}

static void who_was_refused_and_why(void **state UNUSED)
{
    struct visitor v = { "v1", "unix", 1000, 100, 4711, NULL };
    journal_refused(&journal, &v, "not_allowed");
    json_t *line = the_line();
    assert_member(line, "msg", "connection_refused");
    assert_member(line, "peer", "unix:1000:4711");
    assert_member(line, "why", "not_allowed");
    json_decref(line);
}

static void a_journal_that_is_not_open_takes_everything(void **state UNUSED)
{
    struct journal none = { 0 };
    struct report r = answered("v1");
    journal_started(&none);
    journal_request(&none, &r);
    assert_true(journal_works(&none));
    journal_close(&none, 1, on_stuck, NULL);
    journal_done(&none);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_answer_on_v1_has_its_plain_name),
        TEST(other_surfaces_have_theirs_before_it),
        TEST(a_refusal_has_a_code_and_no_numbers),
        TEST(an_error_of_ours_has_the_code_that_clients_see),
        TEST(a_death_names_its_signal),
        TEST(an_exit_has_a_code),
        TEST(who_was_refused_and_why),
        cmocka_unit_test(a_journal_that_is_not_open_takes_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
