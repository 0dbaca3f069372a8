/* Promises of engines/llama/cgroup.c, memory.c and estimate.c, on a system of files of
 * the test's own. */
#include "llama/estimate.h"

#include "test.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/file.h"

static char root[64];

static void put(const char *path, const char *text)
{
    char full[256], directory[256];
    snprintf(full, sizeof full, "%s/%s", root, path);
    snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(full, '/') - full), full);
    assert_int_equal(make_directories(directory, NULL), OK);
    CLEANUP(close_fd) int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && write_all(fd, text, strlen(text)));
}

static int fresh(void **state UNUSED)
{
    snprintf(root, sizeof root, "/tmp/inferd-memory-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    put("proc/meminfo", "MemTotal:       8000 kB\nMemAvailable:   1000 kB\nBuffers: 1 kB\n");
    put("proc/self/cgroup", "0::/outer/inner\n");
    put("sys/fs/cgroup/outer/inner/x", "");
    return 0;
}

static int remove_one(const char *path, const struct stat *st UNUSED, int type UNUSED,
                      struct FTW *ftw UNUSED)
{
    return remove(path);
}

static int forget(void **state UNUSED)
{
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- control groups -------------------------------------------------------- */

static void without_limits_there_are_none(void **state UNUSED)
{
    struct cgroup c = cgroup_read(root);
    assert_true(c.memory_left == UINT64_MAX);
    assert_int_equal(c.processors, 0);
    put("sys/fs/cgroup/outer/inner/memory.max", "max\n");
    put("sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n");
    c = cgroup_read(root);
    assert_true(c.memory_left == UINT64_MAX);
    assert_int_equal(c.processors, 0);
}

static void what_is_used_is_not_left_but_for_files_that_can_go(void **state UNUSED)
{
    put("sys/fs/cgroup/outer/inner/memory.max", "100000\n");
    put("sys/fs/cgroup/outer/inner/memory.current", "70000\n");
    assert_int_equal(cgroup_read(root).memory_left, 30000);
    put("sys/fs/cgroup/outer/inner/memory.stat",
        "anon 5\nactive_file 7\ninactive_file 20000\ninactive_files 1\n");
    assert_int_equal(cgroup_read(root).memory_left, 50000);
    put("sys/fs/cgroup/outer/inner/memory.current", "200000\n");
    assert_int_equal(cgroup_read(root).memory_left, 0);
}

static void the_narrowest_group_around_counts(void **state UNUSED)
{
    put("sys/fs/cgroup/outer/inner/memory.max", "100000\n");
    put("sys/fs/cgroup/outer/memory.max", "50000\n");
    put("sys/fs/cgroup/outer/cpu.max", "150000 100000\n");
    put("sys/fs/cgroup/outer/inner/cpu.max", "800000 100000\n");
    struct cgroup c = cgroup_read(root);
    assert_int_equal(c.memory_left, 50000);
    assert_int_equal(c.processors, 2);
}

static void a_little_time_is_still_one_processor(void **state UNUSED)
{
    put("sys/fs/cgroup/outer/inner/cpu.max", "1000 100000\n");
    assert_int_equal(cgroup_read(root).processors, 1);
    put("sys/fs/cgroup/outer/inner/cpu.max", "nonsense");
    assert_int_equal(cgroup_read(root).processors, 0);
}

static void groups_of_version_1_say_nothing(void **state UNUSED)
{
    put("sys/fs/cgroup/outer/inner/memory.max", "100000\n");
    put("proc/self/cgroup", "4:memory:/outer/inner\n");
    assert_true(cgroup_read(root).memory_left == UINT64_MAX);
    put("proc/self/cgroup", "4:memory:/elsewhere\n0::/outer/inner\n");
    assert_int_equal(cgroup_read(root).memory_left, 100000);
}

/* --- memory ---------------------------------------------------------------- */

static void the_machine_or_the_group_whatever_is_less(void **state UNUSED)
{
    struct cgroup group = { .memory_left = UINT64_MAX };
    struct memory m = memory_read(root, &group);
    assert_int_equal(m.available, 1000 * 1024);
    assert_string_equal(m.of, "this machine");
    group.memory_left = 5000;
    m = memory_read(root, &group);
    assert_int_equal(m.available, 5000);
    assert_string_equal(m.of, "its control group");
    put("proc/meminfo", "MemTotal: 1 kB\n");
    group.memory_left = UINT64_MAX;
    assert_true(memory_read(root, &group).available == UINT64_MAX);
}

static void the_limit_of_the_process_is_seen(void **state UNUSED)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct cgroup group = { .memory_left = UINT64_MAX };
        setrlimit(RLIMIT_DATA, &(struct rlimit){ 1 << 30, 1 << 30 });
        _exit(memory_read(root, &group).of_the_process == 1 << 30 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* --- estimates ------------------------------------------------------------- */

/* A model of 135 million parameters. */
static const struct measures small = {
    .layers = 30,
    .context = 8192,
    .width = 576,
    .feed_forward = 1536,
    .heads = 9,
    .kv_heads = 30 * 3,
    .vocabulary = 49152,
};

static const struct estimate_plan plan = {
    .slots = 16, .n_ctx = 1024, .batch = 512, .kv_type = GGML_TYPE_F16
};

static void a_context_is_multiplied_out(void **state UNUSED)
{
    struct estimate_plan p = plan;
    struct estimate e = estimate_make(&small, 1000, &p);
    assert_int_equal(e.weights, 1000);
    assert_int_equal(e.context, 16 * 1024 * 30 * 3 * (64 + 64) * 2);
    p.kv_type = GGML_TYPE_Q8_0;
    assert_int_equal(estimate_make(&small, 0, &p).context, 16 * 1024 * 30 * 3 * (128 / 32) * 34);
    p.n_ctx = 100000; /* more than it was trained with */
    assert_int_equal(estimate_make(&small, 0, &p).context,
                     16 * UINT64_C(8192) * 30 * 3 * (128 / 32) * 34);
}

/* What llama.cpp takes for it, measured: 14.51 and 3 MiB; 21.51; 166.38. */
static void computing_is_about_what_it_takes(void **state UNUSED)
{
    enum { MIB = 1024 * 1024 };
    struct estimate_plan p = plan;
    p.flash_attention = true;
    assert_in_range(estimate_make(&small, 0, &p).computing, 14 * MIB, 18 * MIB);
    p.slots = 1;
    p.n_ctx = 8192;
    assert_in_range(estimate_make(&small, 0, &p).computing, 15 * MIB, 22 * MIB);
    p.flash_attention = false;
    assert_in_range(estimate_make(&small, 0, &p).computing, 150 * MIB, 167 * MIB);
}

static void what_lies_elsewhere_does_not_count(void **state UNUSED)
{
    struct estimate_plan p = plan;
    struct estimate all = estimate_make(&small, 3000, &p);
    p.layers_elsewhere = 10;
    struct estimate some = estimate_make(&small, 3000, &p);
    assert_int_equal(some.weights, 2000);
    assert_true(some.context < all.context);
    p.layers_elsewhere = -1;
    assert_int_equal(estimate_make(&small, 3000, &p).weights, 0);
}

static void absurd_measures_do_not_wrap(void **state UNUSED)
{
    struct measures m = small;
    struct estimate_plan p = plan;
    struct memory memory = { UINT64_C(1) << 50, "this machine", UINT64_MAX };
    m.context = INT32_MAX;
    m.kv_heads = 512 << 16;
    m.key_length = m.value_length = 1 << 16;
    p.n_ctx = 1 << 24;
    p.slots = 1024;
    struct estimate e = estimate_make(&m, UINT64_MAX / 4, &p);
    assert_false(estimate_fits(&e, &memory));
}

static void what_does_not_fit_is_refused_with_the_numbers(void **state UNUSED)
{
    enum { MIB = 1024 * 1024 };
    struct memory memory = { 3000 * (uint64_t)MIB, "this machine", UINT64_MAX };
    struct estimate e = { 2000 * (uint64_t)MIB, 990 * MIB, 10 * MIB };
    struct error error;
    assert_true(estimate_fits(&e, &memory));
    memory.available--;
    assert_false(estimate_fits(&e, &memory));
    assert_int_equal(estimate_refuse(&e, &plan, &memory, &error), ERR_CONFIG);
    static const char *const words[] = { "3000 MiB",    "weights 2000", "16 requests",
                                         "1024 tokens", "990",          "computing 10",
                                         "2999",        "this machine", "memory_check" };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (!strstr(error.message, words[i]))
            fail_msg("'%s' does not say '%s'", error.message, words[i]);
    memory = (struct memory){ UINT64_MAX, "this machine", 1279 * (uint64_t)MIB };
    assert_false(estimate_fits(&e, &memory));
    assert_int_equal(estimate_refuse(&e, &plan, &memory, &error), ERR_CONFIG);
    assert_non_null(strstr(error.message, "memory_limit_mib"));
}

static void what_is_left_is_the_least_of_all_limits(void **state UNUSED)
{
    enum { MIB = 1024 * 1024 };
    struct estimate e = { 2000 * (uint64_t)MIB, 900 * MIB, 100 * MIB };
    struct memory memory = { UINT64_MAX, "this machine", UINT64_MAX };
    assert_true(estimate_spare(&e, &memory) == UINT64_MAX);
    memory.available = 3500 * (uint64_t)MIB;
    assert_int_equal(estimate_spare(&e, &memory), 500 * MIB);
    memory.available = 2500 * (uint64_t)MIB; /* it was not checked */
    assert_int_equal(estimate_spare(&e, &memory), 0);
    memory.available = UINT64_MAX;
    memory.of_the_process = 8000 * (uint64_t)MIB;
    uint64_t spare = estimate_spare(&e, &memory);
    assert_true(spare > 1000 * (uint64_t)MIB && spare < 7000 * (uint64_t)MIB);
    memory.of_the_process = 100 * MIB;
    assert_int_equal(estimate_spare(&e, &memory), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, forget)
    const struct CMUnitTest tests[] = {
        TEST(without_limits_there_are_none),
        TEST(what_is_used_is_not_left_but_for_files_that_can_go),
        TEST(the_narrowest_group_around_counts),
        TEST(a_little_time_is_still_one_processor),
        TEST(groups_of_version_1_say_nothing),
        TEST(the_machine_or_the_group_whatever_is_less),
        TEST(the_limit_of_the_process_is_seen),
        TEST(a_context_is_multiplied_out),
        TEST(computing_is_about_what_it_takes),
        TEST(what_lies_elsewhere_does_not_count),
        TEST(absurd_measures_do_not_wrap),
        TEST(what_does_not_fit_is_refused_with_the_numbers),
        TEST(what_is_left_is_the_least_of_all_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
