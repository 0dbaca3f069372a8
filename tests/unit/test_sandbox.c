/*
 * Promises of engines/common/sandbox.c, each in a child of its own.
 *
 * A child does one thing and its exit code says what came of it: 0, or errno.
 */
#include "sandbox.h"

#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

enum { STUCK = 200, NOT_ENTERED }; /* exit codes that are no errno */

typedef int attempt(void); /* 0, or errno */

enum door { OUTSIDE, FIRST, SECOND };

static uint16_t port; /* one that something listens on */

static int go_inside(enum door door, const struct sandbox_plan *plan)
{
    static struct sandbox s;
    struct sandbox_kernel kernel = sandbox_probe();
    struct error error;
    if (door >= FIRST && sandbox_enter(&s, plan, &kernel, &error))
        return NOT_ENTERED;
    if (door >= SECOND && sandbox_tighten(&s, &error))
        return NOT_ENTERED;
    return 0;
}

static int run(enum door door, const struct sandbox_plan *plan, attempt *what)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(30);
        int failed = go_inside(door, plan);
        _exit(failed ? failed : what());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static const struct sandbox_plan all = { .mode = SANDBOX_REQUIRE };
static const struct sandbox_plan gpu = { .mode = SANDBOX_REQUIRE, .gpu = true };

/* Works outside, and ends so behind each door. */
static void expect(attempt *what, int first, int second)
{
    assert_int_equal(run(OUTSIDE, &all, what), 0);
    assert_int_equal(run(FIRST, &all, what), first);
    assert_int_equal(run(SECOND, &all, what), second);
}

#define TRY(call) return (call) < 0 ? errno : 0

/* --- files ----------------------------------------------------------------- */

static int open_for_reading(void)
{
    TRY(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int open_for_writing(void)
{
    TRY(open("/dev/null", O_WRONLY | O_CLOEXEC));
}

static int make_a_file(void)
{
    TRY(syscall(SYS_openat, AT_FDCWD, "/tmp", O_TMPFILE | O_RDWR, 0600));
}

static int make_a_directory(void)
{
    char name[64];
    snprintf(name, sizeof name, "/tmp/inferd-sandbox-%d", getpid());
    int failed = mkdir(name, 0700) < 0 ? errno : 0;
    rmdir(name);
    return failed;
}

static void no_file_can_be_opened(void **state UNUSED)
{
    expect(open_for_reading, EACCES, ENOSYS);
    expect(open_for_writing, ENOSYS, ENOSYS);
    expect(make_a_file, ENOSYS, ENOSYS);
    expect(make_a_directory, ENOSYS, ENOSYS);
}

static int opened; /* a descriptor */

static int read_what_is_open(void)
{
    char byte;
    TRY(pread(opened, &byte, 1, 0));
}

static void what_is_open_can_be_read(void **state UNUSED)
{
    opened = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    assert_true(opened >= 0);
    expect(read_what_is_open, 0, 0);
    close(opened);
}

/* --- others ---------------------------------------------------------------- */

static int connect_to_the_port(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    TRY(connect(fd, (struct sockaddr *)&to, sizeof to));
}

static int make_a_unix_socket(void)
{
    TRY(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int make_a_pair(void)
{
    int pair[2];
    TRY(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
}

static int bind_a_port(void)
{
    struct sockaddr_in any = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return errno;
    TRY(bind(fd, (struct sockaddr *)&any, sizeof any));
}

static void nobody_can_be_reached(void **state UNUSED)
{
    expect(connect_to_the_port, ENOSYS, ENOSYS);
    expect(make_a_unix_socket, ENOSYS, ENOSYS);
    expect(make_a_pair, ENOSYS, ENOSYS);
    expect(bind_a_port, ENOSYS, ENOSYS);
}

static int make_a_udp_socket(void)
{
    TRY(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

static int make_another_kind_of_stream(void)
{
    TRY(socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP));
}

/* TCP Fast Open: connecting by sending. */
static int connect_by_sending(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return STUCK;
    TRY(sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof to));
}

static void with_a_port_that_port_and_no_other(void **state UNUSED)
{
    struct sandbox_plan ours = { .mode = SANDBOX_REQUIRE, .ports = &port, .n_ports = 1 };
    uint16_t another = (uint16_t)(port + 1);
    struct sandbox_plan other = { .mode = SANDBOX_REQUIRE, .ports = &another, .n_ports = 1 };
    assert_int_equal(run(SECOND, &ours, connect_to_the_port), 0);
    assert_int_equal(run(SECOND, &ours, make_a_unix_socket), ENOSYS);
    assert_int_equal(run(OUTSIDE, &ours, make_a_udp_socket), 0);
    assert_int_equal(run(SECOND, &ours, make_a_udp_socket), ENOSYS);
    assert_int_equal(run(SECOND, &ours, make_another_kind_of_stream), ENOSYS);
    assert_int_equal(run(SECOND, &ours, connect_by_sending), ENOSYS);
    assert_int_equal(run(SECOND, &ours, bind_a_port), ENOSYS);
    if (sandbox_probe().landlock >= 4)
        assert_int_equal(run(SECOND, &other, connect_to_the_port), EACCES);
}

static int signal_the_parent(void)
{
    TRY(syscall(SYS_tgkill, getppid(), getppid(), 0));
}

static int kill_the_parent(void)
{
    TRY(kill(getppid(), 0));
}

static void nobody_else_gets_a_signal(void **state UNUSED)
{
    expect(signal_the_parent, ENOSYS, ENOSYS);
    expect(kill_the_parent, ENOSYS, ENOSYS);
}

static int say_abort(void)
{
    abort();
}

static void it_can_abort(void **state UNUSED)
{
    assert_int_equal(run(SECOND, &all, say_abort), -SIGABRT);
}

/* --- processes and code ---------------------------------------------------- */

static int make_a_process(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    TRY(child);
}

static int become_another(void)
{
    execl("/bin/true", "true", (char *)NULL);
    return errno;
}

static int trace(void)
{
    TRY(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static void no_processes(void **state UNUSED)
{
    expect(make_a_process, ENOSYS, ENOSYS);
    expect(become_another, -SIGSYS, -SIGSYS);
    expect(trace, -SIGSYS, -SIGSYS);
}

static int map_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
               ? errno
               : 0;
}

static int make_code_of_memory(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return STUCK;
    TRY(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static void no_new_code(void **state UNUSED)
{
    expect(map_code, ENOSYS, ENOSYS);
    expect(make_code_of_memory, ENOSYS, ENOSYS);
}

/* --- what has to go on ----------------------------------------------------- */

static void *allocate(void *arg UNUSED)
{
    for (int i = 0; i < 100; i++) {
        void *p = malloc((size_t)1 << (10 + i % 14));
        if (!p)
            return NULL;
        memset(p, 1, 1024);
        free(p);
    }
    return &port;
}

static int start_threads(void)
{
    pthread_t threads[8];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        if (pthread_create(&threads[i], NULL, allocate, NULL) != 0)
            return STUCK;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *result = NULL;
        if (pthread_join(threads[i], &result) != 0 || !result)
            return STUCK;
    }
    return 0;
}

static int look_at_the_clock(void)
{
    time_t now = time(NULL);
    struct tm tm;
    nanosleep(&(struct timespec){ .tv_nsec = 1000 }, NULL);
    return localtime_r(&now, &tm) && strcmp(tm.tm_zone, getenv("WANT")) == 0 ? 0 : STUCK;
}

static int look_at_limits(void)
{
    struct rlimit limit;
    TRY(getrlimit(RLIMIT_STACK, &limit));
}

static int raise_limits(void)
{
    struct rlimit none = { 0, 0 };
    TRY(setrlimit(RLIMIT_CORE, &none));
}

static void threads_memory_and_clocks_go_on(void **state UNUSED)
{
    time_t now = time(NULL);
    struct tm tm;
    assert_non_null(localtime_r(&now, &tm));
    setenv("WANT", tm.tm_zone, 1);
    expect(start_threads, 0, 0);
    expect(look_at_the_clock, 0, 0);
    expect(look_at_limits, 0, 0);
    expect(raise_limits, ENOSYS, ENOSYS);
}

static atomic_bool inside;

static void *try_in_a_thread(void *result)
{
    while (!atomic_load(&inside))
        sched_yield();
    *(int *)result = open_for_reading();
    return NULL;
}

/* A thread that was there before the second door closed is behind it, too. */
static int have_a_thread_between(void)
{
    static struct sandbox s;
    struct sandbox_kernel kernel = sandbox_probe();
    pthread_t thread;
    int result = STUCK;
    if (sandbox_enter(&s, &all, &kernel, NULL) ||
        pthread_create(&thread, NULL, try_in_a_thread, &result) != 0 || sandbox_tighten(&s, NULL))
        return NOT_ENTERED;
    atomic_store(&inside, true);
    pthread_join(thread, NULL);
    return result;
}

static void the_second_door_is_for_all_threads(void **state UNUSED)
{
    assert_int_equal(run(OUTSIDE, &all, have_a_thread_between), ENOSYS);
}

/* --- more and less of it --------------------------------------------------- */

static int write_to_a_device(void)
{
    TRY(open("/dev/null", O_RDWR | O_CLOEXEC));
}

static int write_elsewhere(void)
{
    TRY(open("/tmp", O_TMPFILE | O_RDWR, 0600));
}

static int read_at_home(void)
{
    TRY(open("/tmp", O_RDONLY | O_DIRECTORY));
}

static void a_gpu_needs_devices_and_nothing_else(void **state UNUSED)
{
    assert_int_equal(run(SECOND, &gpu, write_to_a_device), 0);
    assert_int_equal(run(SECOND, &gpu, map_code), 0);
    assert_int_equal(run(SECOND, &gpu, write_elsewhere), EACCES);
    assert_int_equal(run(SECOND, &gpu, read_at_home), EACCES);
    assert_int_equal(run(SECOND, &gpu, make_a_unix_socket), ENOSYS);
    assert_int_equal(run(SECOND, &gpu, become_another), -SIGSYS);
}

static void off_is_off(void **state UNUSED)
{
    const struct sandbox_plan off = { .mode = SANDBOX_OFF };
    assert_int_equal(run(SECOND, &off, open_for_reading), 0);
    assert_int_equal(run(SECOND, &off, make_a_process), 0);
}

static void expect_described(const struct sandbox_plan *plan, struct sandbox_kernel kernel,
                             const char *want)
{
    /* In a child: what is entered is never left. */
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct sandbox s;
        char text[96];
        if (sandbox_enter(&s, plan, &kernel, NULL))
            _exit(NOT_ENTERED);
        sandbox_describe(&s, text, sizeof text);
        _exit(strcmp(text, want) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void what_the_kernel_has_not_is_said(void **state UNUSED)
{
    const struct sandbox_plan some = { .mode = SANDBOX_AUTO }, off = { .mode = SANDBOX_OFF };
    const struct sandbox_plan net = { .mode = SANDBOX_AUTO, .ports = &port, .n_ports = 1 };
    struct sandbox_kernel full = sandbox_probe();
    struct sandbox_kernel old = { .seccomp = true, .lacking = "the kernel has no Landlock" };
    struct sandbox_kernel bare = { .lacking = "the kernel has no seccomp filters" };
    expect_described(&some, full, "landlock+seccomp");
    expect_described(&gpu, full, "landlock+seccomp, open to a GPU");
    expect_described(&net, full, "landlock+seccomp, open to RPC servers");
    expect_described(&some, old, "seccomp (the kernel has no Landlock)");
    expect_described(&some, bare, "off (the kernel has no seccomp filters)");
    expect_described(&off, full, "off");
}

static void what_is_required_and_missing_is_refused(void **state UNUSED)
{
    struct sandbox s;
    struct error error;
    struct sandbox_kernel old = { .seccomp = true, .lacking = "the kernel has no Landlock" };
    assert_int_equal(sandbox_enter(&s, &all, &old, &error), ERR_CONFIG);
    assert_non_null(strstr(error.message, "the kernel has no Landlock"));
    assert_int_equal(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
}

static void modes_have_names(void **state UNUSED)
{
    enum sandbox_mode mode = SANDBOX_OFF;
    assert_true(sandbox_mode_from_name("require", &mode) && mode == SANDBOX_REQUIRE);
    assert_true(sandbox_mode_from_name("auto", &mode) && mode == SANDBOX_AUTO);
    assert_true(sandbox_mode_from_name("off", &mode) && mode == SANDBOX_OFF);
    assert_false(sandbox_mode_from_name("on", &mode));
}

/* --- all of it ------------------------------------------------------------- */

static int listen_somewhere(void **state UNUSED)
{
    struct sockaddr_in any = { .sin_family = AF_INET };
    socklen_t size = sizeof any;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&any, size) < 0 || listen(fd, 16) < 0 ||
        getsockname(fd, (struct sockaddr *)&any, &size) < 0)
        return -1;
    port = ntohs(any.sin_port);
    return 0;
}

int main(void)
{
    const struct CMUnitTest everywhere[] = {
        cmocka_unit_test(modes_have_names),
        cmocka_unit_test(what_is_required_and_missing_is_refused),
        cmocka_unit_test(off_is_off),
    };
    const struct CMUnitTest inside_only[] = {
        cmocka_unit_test(no_file_can_be_opened),
        cmocka_unit_test(what_is_open_can_be_read),
        cmocka_unit_test(nobody_can_be_reached),
        cmocka_unit_test(with_a_port_that_port_and_no_other),
        cmocka_unit_test(nobody_else_gets_a_signal),
        cmocka_unit_test(it_can_abort),
        cmocka_unit_test(no_processes),
        cmocka_unit_test(no_new_code),
        cmocka_unit_test(threads_memory_and_clocks_go_on),
        cmocka_unit_test(the_second_door_is_for_all_threads),
        cmocka_unit_test(a_gpu_needs_devices_and_nothing_else),
        cmocka_unit_test(what_the_kernel_has_not_is_said),
    };
    int failed = cmocka_run_group_tests(everywhere, NULL, NULL);
    struct sandbox_kernel kernel = sandbox_probe();
    if (kernel.lacking) {
        print_message("not tried: %s\n", kernel.lacking);
        return failed;
    }
    return failed + cmocka_run_group_tests(inside_only, listen_somewhere, NULL);
}
