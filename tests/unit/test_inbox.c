/*
 * test_inbox.c - orders, read on a thread of their own.
 *
 * An inbox lives as long as its process, so one serves all tests here; those about
 * its end come first and fork, while there is no thread yet.
 */
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "inbox.h"

static int daemon_fd = -1;
static struct inbox *inbox;

/* Descriptor 3 becomes one end of a fresh socket; the other is returned. */
static int fresh_socket(void)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    int daemon = fcntl(pair[0], F_DUPFD_CLOEXEC, 10);
    assert_true(daemon >= 10);
    int engine = fcntl(pair[1], F_DUPFD_CLOEXEC, 10);
    assert_true(engine >= 10);
    close(pair[0]);
    close(pair[1]);
    assert_int_equal(dup2(engine, ENGINE_FD), ENGINE_FD);
    close(engine);
    return daemon;
}

static struct inbox *start(void)
{
    struct worker *worker = NULL;
    struct inbox *started = NULL;
    struct error error;
    if (worker_open("test", &worker, &error) || inbox_start(worker, &started, &error))
        fail_msg("%s", error.message);
    return started;
}

static void send_order(int fd, enum order_kind kind, uint64_t serial)
{
    struct buf out;
    buf_init(&out, ENGINE_FRAME_MAX);
    assert_int_equal(order_put(&out, kind, serial), OK);
    assert_true(write_all(fd, out.at, out.len));
    buf_done(&out);
}

/* --- the end --------------------------------------------------------------- */

/* How an engine ends, in the middle of its work, that was told `last_words` before
 * its daemon hung up. */
static int status_after(const char *last_words, size_t len)
{
    int daemon = fresh_socket();
    pid_t engine = fork();
    assert_true(engine >= 0);
    if (engine == 0) {
        close(daemon);
        alarm(30); /* a bound, should the thread fail to end this */
        start();
        for (;;)
            pause();
    }
    close(ENGINE_FD);
    assert_true(write_all(daemon, last_words, len));
    /* An engine that is not there yet would find the daemon gone when it opens. */
    if (len == 0) {
        char pong[100];
        send_order(daemon, ORDER_PING, 0);
        assert_true(read(daemon, pong, sizeof pong) > 0);
        close(daemon);
    }
    int status = 0;
    assert_int_equal(waitpid(engine, &status, 0), engine);
    if (len > 0)
        close(daemon);
    return status;
}

static void the_process_ends_with_the_daemon(void **state UNUSED)
{
    int status = status_after("", 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void nonsense_ends_the_process(void **state UNUSED)
{
    int status = status_after("\x01\x01{", 3);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 3);
}

/* --- letters --------------------------------------------------------------- */

static int set_up(void **state UNUSED)
{
    if (!inbox) {
        daemon_fd = fresh_socket();
        inbox = start();
    }
    return 0;
}

static void discard(struct letter *letter)
{
    order_done(&letter->order);
    free(letter);
}

static void an_empty_inbox_has_nothing(void **state UNUSED)
{
    assert_false(inbox_waiting(inbox));
    assert_null(inbox_take(inbox, 0));
    int64_t began = clock_us();
    assert_null(inbox_take(inbox, 30));
    assert_true(clock_us() - began >= 30000);
}

static void letters_come_in_order(void **state UNUSED)
{
    enum { LETTERS = 1000 };
    uint64_t expected = 1;
    for (uint64_t i = 1; i <= LETTERS; i++)
        send_order(daemon_fd, ORDER_CANCEL, i);
    while (expected <= LETTERS) {
        struct letter *chain = inbox_take(inbox, -1);
        assert_non_null(chain);
        for (struct letter *l = chain, *after; l; l = after) {
            after = l->next;
            assert_int_equal(l->order.serial, expected++);
            discard(l);
        }
    }
    assert_null(inbox_take(inbox, 0));
}

static void who_waits_is_woken(void **state UNUSED)
{
    for (int i = 0; i < 200; i++) {
        send_order(daemon_fd, ORDER_CANCEL, 1);
        struct letter *letter = inbox_take(inbox, i % 2 ? -1 : 30000);
        assert_non_null(letter);
        assert_null(letter->next);
        discard(letter);
    }
}

static void one_can_ask_without_taking(void **state UNUSED)
{
    send_order(daemon_fd, ORDER_CANCEL, 1);
    int64_t deadline = clock_ms() + 30000;
    while (!inbox_waiting(inbox))
        assert_true(clock_ms() < deadline);
    assert_true(inbox_waiting(inbox));
    discard(inbox_take(inbox, 0));
    assert_false(inbox_waiting(inbox));
}

static void pings_are_answered_while_nobody_looks(void **state UNUSED)
{
    char pong[100];
    send_order(daemon_fd, ORDER_CANCEL, 1);
    send_order(daemon_fd, ORDER_PING, 0);
    assert_true(read(daemon_fd, pong, sizeof pong) > 0);
    assert_true(inbox_waiting(inbox));
    discard(inbox_take(inbox, 0));
}

#define POSTED(test) cmocka_unit_test_setup(test, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_process_ends_with_the_daemon),
        cmocka_unit_test(nonsense_ends_the_process),
        POSTED(an_empty_inbox_has_nothing),
        POSTED(letters_come_in_order),
        POSTED(who_waits_is_woken),
        POSTED(one_can_ask_without_taking),
        POSTED(pings_are_answered_while_nobody_looks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
