/*
 * test_stats.c - the reply to "stats".
 */
#include "test.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "wire/stats.h"

enum { ROOMY = 1024 * 1024 };

static const double bounds[] = { 0.1, 0.2, 0.4 };

/* The reply as a tree, after a look at its frame. */
static json_t *reply(const struct stats *s)
{
    struct buf out;
    json_t *tree = NULL;
    buf_init(&out, ROOMY);
    assert_int_equal(stats_put(&out, s), OK);
    assert_int_equal(out.at[out.len - 1], '\n');
    assert_null(memchr(out.at, '\n', out.len - 1));
    assert_int_equal(json_read(out.at, out.len, &tree, NULL), OK);
    buf_done(&out);
    return tree;
}

/* Latencies of which so many were in each bucket. */
static struct stats totals_with(const uint64_t counts[4])
{
    struct stats s = { .version = "1", .state = "ready" };
    s.totals.n_latencies = 1;
    s.totals.latencies[0] = (struct stats_latency){
        .name = "request",
        .count = counts[0] + counts[1] + counts[2] + counts[3],
        .n_bounds = ARRAY_LEN(bounds),
        .bounds = bounds,
        .counts = counts,
    };
    return s;
}

static void expect_quantiles(const uint64_t counts[4], double p50, double p95)
{
    struct stats s = totals_with(counts);
    CLEANUP(json_drop) json_t *tree = reply(&s);
    double got50, got95;
    assert_int_equal(json_unpack(tree, "{s{s{s{sF sF}}}}", "totals", "latencies", "request", "p50",
                                 &got50, "p95", &got95),
                     0);
    assert_true(fabs(got50 - p50) < 1e-9);
    assert_true(fabs(got95 - p95) < 1e-9);
}

static void quantiles_are_read_off_the_buckets(void **state UNUSED)
{
    expect_quantiles((uint64_t[]){ 10, 0, 0, 0 }, 0.05, 0.095);
    expect_quantiles((uint64_t[]){ 0, 10, 0, 0 }, 0.15, 0.195);
    expect_quantiles((uint64_t[]){ 50, 0, 50, 0 }, 0.1, 0.38);
    /* Nobody knows how far above the last bound. */
    expect_quantiles((uint64_t[]){ 0, 0, 0, 3 }, 0.4, 0.4);
}

static void without_a_count_there_is_no_quantile(void **state UNUSED)
{
    struct stats s = totals_with((uint64_t[]){ 0, 0, 0, 0 });
    CLEANUP(json_drop) json_t *tree = reply(&s);
    const json_t *l =
        json_object_get(json_object_get(json_object_get(tree, "totals"), "latencies"), "request");
    assert_int_equal(json_integer_value(json_object_get(l, "count")), 0);
    assert_null(json_object_get(l, "p50"));
}

static void errors_are_told_by_the_names_that_clients_see(void **state UNUSED)
{
    uint64_t errors[ERR_INTERNAL + 1] = { [ERR_QUEUE_FULL] = 3, [ERR_INTERNAL] = 1 };
    struct stats s = { .version = "1", .state = "ready" };
    s.totals.errors = errors;
    s.totals.n_errors = ARRAY_LEN(errors);
    CLEANUP(json_drop) json_t *tree = reply(&s);
    const json_t *e = json_object_get(json_object_get(tree, "totals"), "errors");
    assert_int_equal(json_object_size(e), 2);
    assert_int_equal(json_integer_value(json_object_get(e, "queue_full")), 3);
    assert_int_equal(json_integer_value(json_object_get(e, "internal")), 1);
}

static void what_a_backend_has_not_is_left_out(void **state UNUSED)
{
    struct stats_backend b = { .name = "a", .kind = "mock", .state = "stopped", .slots = 2 };
    struct stats s = { .version = "1", .state = "ready", .backends = &b, .n_backends = 1 };
    CLEANUP(json_drop) json_t *tree = reply(&s);
    CLEANUP(json_drop)
    json_t *want = json_pack("{ss ss ss si si si}", "name", "a", "kind", "mock", "state", "stopped",
                             "slots", 2, "running", 0, "deaths", 0);
    assert_true(json_equal(json_array_get(json_object_get(tree, "backends"), 0), want));
}

static void what_a_backend_keeps_is_told(void **state UNUSED)
{
    struct stats_backend b = { .name = "a", .kind = "mock", .state = "ready" };
    b.usage = (struct usage){ 10, 100, 7, 3, 4096, 8192 };
    struct stats s = { .version = "1", .state = "ready", .backends = &b, .n_backends = 1 };
    CLEANUP(json_drop) json_t *tree = reply(&s);
    CLEANUP(json_drop)
    json_t *want =
        json_pack("{si si si si si si}", "used", 10, "size", 100, "prompt_tokens", 7,
                  "cached_tokens", 3, "prefix_cache_bytes", 4096, "prefix_cache_max", 8192);
    const json_t *told = json_array_get(json_object_get(tree, "backends"), 0);
    assert_true(json_equal(json_object_get(told, "context"), want));
}

static void a_program_with_a_strange_path_harms_nobody(void **state UNUSED)
{
    struct stats_caller c = { .uid = -1, .executable = "/bin/\xff\xfe" };
    struct stats s = { .version = "1", .state = "ready", .callers = &c, .n_callers = 1 };
    CLEANUP(json_drop) json_t *tree = reply(&s);
    const json_t *caller = json_array_get(json_object_get(tree, "callers"), 0);
    assert_string_equal(json_string_value(json_object_get(caller, "executable")), "/bin/?"
                                                                                  "?");
    assert_int_equal(json_integer_value(json_object_get(caller, "uid")), -1);
}

static void bounds_are_told_once(void **state UNUSED)
{
    struct stats s = totals_with((uint64_t[]){ 1, 2, 3, 4 });
    CLEANUP(json_drop) json_t *tree = reply(&s);
    CLEANUP(json_drop) json_t *want = json_pack("{s[fff]}", "request", 0.1, 0.2, 0.4);
    assert_true(json_equal(json_object_get(tree, "bounds"), want));
    CLEANUP(json_drop) json_t *counts = json_pack("[iiii]", 1, 2, 3, 4);
    const json_t *l =
        json_object_get(json_object_get(json_object_get(tree, "totals"), "latencies"), "request");
    assert_true(json_equal(json_object_get(l, "counts"), counts));
}

static void callers_are_told_without_counts(void **state UNUSED)
{
    const uint64_t counts[] = { 1, 0, 0, 0 };
    struct stats s = totals_with(counts);
    struct stats_caller c = { .uid = 5, .totals = s.totals };
    s.callers = &c;
    s.n_callers = 1;
    CLEANUP(json_drop) json_t *tree = reply(&s);
    const json_t *caller = json_array_get(json_object_get(tree, "callers"), 0);
    const json_t *all = json_object_get(tree, "totals");
    const json_t *both[] = { json_object_get(caller, "totals"), all };
    for (size_t i = 0; i < 2; i++) {
        const json_t *l = json_object_get(json_object_get(both[i], "latencies"), "request");
        assert_int_equal(json_object_get(l, "counts") != NULL, i == 1);
    }
}

/* As much as there can be of everything, and numbers of many digits. */
static void the_largest_reply_takes_no_time(void **state UNUSED)
{
    enum { BACKENDS = 64, CALLERS = 256, REQUESTS = 500, BUCKETS = 28, LIMIT_MS = 10, SLACK = 5 };
    static double many_bounds[BUCKETS];
    static uint64_t counts[BUCKETS + 1], errors[ERROR_CODES];
    static const char *const names[] = { "queue_wait", "time_to_first_token", "inter_token",
                                         "request" };
    static struct stats_backend backends[BACKENDS];
    static struct stats_caller callers[CALLERS];
    static struct stats_request requests[REQUESTS];
    char path[256];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    struct stats_totals t = { .requests = 1234567, .done = 1234567, .prompt_tokens = 123456789 };
    for (size_t i = 0; i <= BUCKETS; i++)
        counts[i] = 1234567 + i;
    for (size_t i = 0; i < BUCKETS; i++)
        many_bounds[i] = (double)(i + 1) * 0.37;
    for (size_t i = 0; i < ERROR_CODES; i++)
        errors[i] = 12345;
    t.errors = errors;
    t.n_errors = ERR_INTERNAL + 1;
    t.n_latencies = ARRAY_LEN(names);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        t.latencies[i] = (struct stats_latency){ .name = names[i],
                                                 .count = 35802456,
                                                 .sum = 123.4,
                                                 .n_bounds = BUCKETS,
                                                 .bounds = many_bounds,
                                                 .counts = counts };
    for (size_t i = 0; i < BACKENDS; i++)
        backends[i] = (struct stats_backend){
            .name = path, .kind = "llamacpp", .state = "ready", .booked = true, .totals = t
        };
    for (size_t i = 0; i < CALLERS; i++)
        callers[i] = (struct stats_caller){ .executable = path, .totals = t };
    for (size_t i = 0; i < REQUESTS; i++)
        requests[i] = (struct stats_request){
            .state = "waiting", .surface = "v1", .executable = path, .age_ms = 1234.5
        };
    struct stats s = { .version = "1",
                       .state = "ready",
                       .totals = t,
                       .backends = backends,
                       .n_backends = BACKENDS,
                       .callers = callers,
                       .n_callers = CALLERS,
                       .other_callers = t,
                       .requests = requests,
                       .n_requests = REQUESTS };
    struct buf out;
    buf_init(&out, 8 * ROOMY);
    struct timespec from, to;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    assert_int_equal(stats_put(&out, &s), OK);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    double ms = (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6;
    print_message("%zu bytes in %.2f ms\n", out.len, ms);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they take their time */
    assert_true(ms < LIMIT_MS * SLACK);
#endif
    CLEANUP(json_drop) json_t *tree = NULL;
    assert_int_equal(json_read(out.at, out.len, &tree, NULL), OK);
    assert_int_equal(json_array_size(json_object_get(tree, "callers")), CALLERS);
    buf_done(&out);
}

/* Members come out of a tree in the order that they were read in. */
static bool is_sorted(json_t *tree)
{
    const char *last = "", *key;
    json_t *value;
    size_t i;
    json_object_foreach(tree, key, value)
    {
        if (strcmp(last, key) >= 0 || !is_sorted(value))
            return false;
        last = key;
    }
    json_array_foreach(tree, i, value)
    {
        if (!is_sorted(value))
            return false;
    }
    return true;
}

static void members_stand_in_alphabetical_order(void **state UNUSED)
{
    static const uint64_t counts[] = { 1, 2, 3, 4 };
    struct stats s = totals_with(counts);
    uint64_t errors[ERR_INTERNAL + 1];
    for (size_t i = 0; i <= ERR_INTERNAL; i++)
        errors[i] = i;
    s.totals.errors = errors;
    s.totals.n_errors = ARRAY_LEN(errors);
    s.totals.requests = 1;
    s.other_callers = s.totals;
    struct capabilities able = { .accelerator = "cpu",
                                 .sandbox = "s",
                                 .kv = "streams",
                                 .prefixes = "anywhere",
                                 .device = "d",
                                 .threads = 1,
                                 .batch_threads = 1,
                                 .cpu_variant = "v",
                                 .model = "m",
                                 .n_ctx = 1 };
    struct stats_backend b = { .name = "b",
                               .kind = "k",
                               .state = "s",
                               .why = "w",
                               .sha256 = "h",
                               .capabilities = &able,
                               .usage = { 1, 2, 3, 4 },
                               .pid = 1,
                               .breaker = "closed",
                               .booked = true,
                               .totals = s.totals };
    struct stats_caller c = { .executable = "e", .uid = -1, .totals = s.totals };
    struct stats_request r = { .state = "s", .backend = "b", .surface = "f", .executable = "e" };
    s.backends = &b;
    s.callers = &c;
    s.requests = &r;
    s.n_backends = s.n_callers = s.n_requests = 1;
    struct buf out;
    buf_init(&out, ROOMY);
    assert_int_equal(stats_put(&out, &s), OK);
    CLEANUP(json_drop) json_t *tree = NULL;
    assert_int_equal(json_read(out.at, out.len, &tree, NULL), OK);
    assert_true(is_sorted(tree));
    buf_done(&out);
}

static void what_does_not_fit_is_not_there_at_all(void **state UNUSED)
{
    struct stats s = totals_with((uint64_t[]){ 1, 2, 3, 4 });
    struct buf out;
    buf_init(&out, 200);
    assert_int_equal(buf_append_str(&out, "before"), OK);
    assert_int_equal(stats_put(&out, &s), ERR_FRAME_TOO_LARGE);
    assert_int_equal(out.len, strlen("before"));
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_are_read_off_the_buckets),
        cmocka_unit_test(without_a_count_there_is_no_quantile),
        cmocka_unit_test(errors_are_told_by_the_names_that_clients_see),
        cmocka_unit_test(what_a_backend_has_not_is_left_out),
        cmocka_unit_test(what_a_backend_keeps_is_told),
        cmocka_unit_test(a_program_with_a_strange_path_harms_nobody),
        cmocka_unit_test(bounds_are_told_once),
        cmocka_unit_test(the_largest_reply_takes_no_time),
        cmocka_unit_test(members_stand_in_alphabetical_order),
        cmocka_unit_test(what_does_not_fit_is_not_there_at_all),
        cmocka_unit_test(callers_are_told_without_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
