/*
 * test_worker.c - an engine's end of the socket, with a daemon played by the test.
 *
 * The worker insists on descriptor 3, so the test puts its socket there.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "worker.h"

/* The daemon's end, and the engine's worker on descriptor 3. */
struct rig {
    int daemon;
    struct frame_reader in;
    struct worker *worker;
};

/* Descriptor 3 becomes one end of a fresh socket; the other is returned, out of the
 * way of 3 and 4. */
static int fresh_socket(void)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    int daemon = fcntl(pair[0], F_DUPFD_CLOEXEC, 10);
    int engine = fcntl(pair[1], F_DUPFD_CLOEXEC, 10);
    assert_true(daemon >= 10 && engine >= 10);
    close(pair[0]);
    close(pair[1]);
    assert_int_equal(dup2(engine, ENGINE_FD), ENGINE_FD);
    close(engine);
    return daemon;
}

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    struct error error = { 0 };
    assert_non_null(rig);
    rig->daemon = fresh_socket();
    frame_reader_init(&rig->in, ENGINE_FRAME_MAX);
    assert_int_equal(worker_open("test", &rig->worker, &error), OK);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    worker_free(rig->worker);
    frame_reader_done(&rig->in);
    close_fd(&rig->daemon);
    close(ENGINE_FD);
    free(rig);
    return 0;
}

static void order_plain(const struct rig *rig, enum order_kind kind, uint64_t serial)
{
    struct buf out;
    buf_init(&out, ENGINE_FRAME_MAX);
    assert_int_equal(order_put(&out, kind, serial), OK);
    assert_true(write_all(rig->daemon, out.at, out.len));
    buf_done(&out);
}

/* The engine's next event, as the daemon sees it. */
static void hear(struct rig *rig, struct event *ret)
{
    struct frame frame;
    while (frame_reader_next(&rig->in, &frame, NULL) == ERR_AGAIN) {
        char *at;
        size_t room;
        assert_int_equal(frame_reader_room(&rig->in, &at, &room), OK);
        ssize_t n = read(rig->daemon, at, room);
        assert_true(n > 0);
        frame_reader_filled(&rig->in, (size_t)n);
    }
    assert_int_equal(event_read(&frame, ret, NULL), OK);
}

static bool daemon_hears_nothing(const struct rig *rig)
{
    char byte;
    return recv(rig->daemon, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static enum err next(struct rig *rig, int timeout_ms, struct order *ret)
{
    struct error error = { 0 };
    return worker_next(rig->worker, timeout_ms, ret, &error);
}

/* --- opening --------------------------------------------------------------- */

static void by_hand_it_does_not_start(void **state UNUSED)
{
    struct worker *w = NULL;
    struct error error;
    close(ENGINE_FD);
    assert_int_equal(worker_open("test", &w, &error), ERR_CONFIG);
    assert_non_null(strstr(error.message, "not by hand"));
    assert_int_equal(dup2(STDIN_FILENO, ENGINE_FD), ENGINE_FD);
    assert_int_equal(worker_open("test", &w, &error), ERR_CONFIG);

    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* datagrams are no stream */
    assert_int_equal(dup2(fd, ENGINE_FD), ENGINE_FD);
    assert_int_equal(worker_open("test", &w, &error), ERR_CONFIG);
    assert_null(w);
    close(fd);
    close(ENGINE_FD);
}

static void without_a_daemon_it_does_not_start(void **state UNUSED)
{
    struct worker *w = NULL;
    struct error error;
    close(fresh_socket());
    assert_int_equal(worker_open("test", &w, &error), ERR_CLOSED);
    close(ENGINE_FD);
}

static void it_is_tied_to_its_daemon(void **state UNUSED)
{
    struct rlimit core;
    struct sigaction on_int, on_pipe;
    int sig = 0;
    assert_true(fcntl(ENGINE_FD, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(prctl(PR_GET_PDEATHSIG, &sig), 0);
    assert_int_equal(sig, SIGKILL);
    assert_int_equal(getrlimit(RLIMIT_CORE, &core), 0);
    assert_int_equal(core.rlim_max, 0);
    assert_int_equal(sigaction(SIGINT, NULL, &on_int), 0);
    assert_ptr_equal(on_int.sa_handler, SIG_IGN);
    assert_int_equal(sigaction(SIGPIPE, NULL, &on_pipe), 0);
    assert_ptr_equal(on_pipe.sa_handler, SIG_IGN);
}

static void exit_codes_say_why_it_left(void **state UNUSED)
{
    static const struct error why = { ERR_PROTOCOL, "(this line is part of the test)" };
    assert_int_equal(worker_leave(ERR_CLOSED, &why), 0);
    assert_int_equal(worker_leave(ERR_CONFIG, &why), 2);
    assert_int_equal(worker_leave(ERR_PROTOCOL, &why), 3);
}

/* --- orders ---------------------------------------------------------------- */

static void orders_come_in_turn(void **state)
{
    struct rig *rig = *state;
    struct order order;
    order_plain(rig, ORDER_CANCEL, 1);
    order_plain(rig, ORDER_DRAIN, 0);
    assert_int_equal(next(rig, -1, &order), OK);
    assert_int_equal(order.kind, ORDER_CANCEL);
    assert_int_equal(order.serial, 1);
    order_done(&order);
    assert_int_equal(next(rig, 0, &order), OK);
    assert_int_equal(order.kind, ORDER_DRAIN);
    order_done(&order);
}

static void nothing_in_time_is_again(void **state)
{
    struct rig *rig = *state;
    struct order order;
    assert_int_equal(next(rig, 0, &order), ERR_AGAIN);
    int64_t began = clock_us();
    assert_int_equal(next(rig, 30, &order), ERR_AGAIN);
    assert_true(clock_us() - began >= 30000);
}

static void half_an_order_does_not_stop_the_clock(void **state)
{
    struct rig *rig = *state;
    struct order order;
    assert_true(write_all(rig->daemon, "\x10\x01{", 3));
    assert_int_equal(next(rig, 10, &order), ERR_AGAIN);
    assert_true(write_all(rig->daemon, "\"type\":\"drain\"}", 15));
    assert_int_equal(next(rig, 0, &order), OK);
    assert_int_equal(order.kind, ORDER_DRAIN);
    order_done(&order);
}

static void a_daemon_that_went_is_told(void **state)
{
    struct rig *rig = *state;
    struct order order;
    struct error error;
    order_plain(rig, ORDER_DRAIN, 0);
    close_fd(&rig->daemon);
    assert_int_equal(next(rig, -1, &order), OK); /* what it said before still counts */
    order_done(&order);
    assert_int_equal(next(rig, -1, &order), ERR_CLOSED);
    assert_int_equal(next(rig, 0, &order), ERR_CLOSED);
    assert_int_equal(next(rig, 1000, &order), ERR_CLOSED);
    worker_text(rig->worker, 1, TEXT_ANSWER, (struct slice){ "x", 1 });
    assert_int_equal(worker_flush(rig->worker, &error), ERR_CLOSED);
}

static void nonsense_is_a_protocol_error(void **state)
{
    struct rig *rig = *state;
    struct order order;
    assert_true(write_all(rig->daemon, "\x01\x01{", 3));
    assert_int_equal(next(rig, -1, &order), ERR_PROTOCOL);
}

static void *await_drain(void *arg)
{
    struct order order;
    if (next(arg, -1, &order) != OK || order.kind != ORDER_DRAIN)
        return &await_drain; /* anything but NULL */
    order_done(&order);
    return NULL;
}

/* Between two pings there is nothing to read, which must not look like an end. */
static void a_descriptor_that_does_not_block_is_waited_for(void **state)
{
    struct rig *rig = *state;
    pthread_t engine;
    void *failed = NULL;
    assert_int_equal(fcntl(ENGINE_FD, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(pthread_create(&engine, NULL, await_drain, rig), 0);
    for (int i = 0; i < 100; i++) {
        struct event event;
        order_plain(rig, ORDER_PING, 0);
        hear(rig, &event);
        assert_int_equal(event.kind, EVENT_PONG);
    }
    order_plain(rig, ORDER_DRAIN, 0);
    pthread_join(engine, &failed);
    assert_null(failed);
}

/* --- signs of life --------------------------------------------------------- */

static void pings_are_answered_on_the_way(void **state)
{
    struct rig *rig = *state;
    struct order order;
    struct event event;
    worker_progress(rig->worker);
    worker_progress(rig->worker);
    order_plain(rig, ORDER_PING, 0);
    assert_int_equal(next(rig, 0, &order), ERR_AGAIN);
    hear(rig, &event);
    assert_int_equal(event.kind, EVENT_PONG);
    assert_int_equal(event.progress, 2);
    assert_false(event.busy);

    worker_busy(rig->worker, true);
    order_plain(rig, ORDER_PING, 0);
    order_plain(rig, ORDER_DRAIN, 0);
    assert_int_equal(next(rig, -1, &order), OK);
    assert_int_equal(order.kind, ORDER_DRAIN);
    order_done(&order);
    hear(rig, &event);
    assert_int_equal(event.kind, EVENT_PONG);
    assert_true(event.busy);
}

static void a_pong_does_not_take_what_was_told_with_it(void **state)
{
    struct rig *rig = *state;
    struct order order;
    struct event event;
    struct error error;
    worker_text(rig->worker, 5, TEXT_ANSWER, (struct slice){ "x", 1 });
    order_plain(rig, ORDER_PING, 0);
    assert_int_equal(next(rig, 0, &order), ERR_AGAIN);
    hear(rig, &event);
    assert_int_equal(event.kind, EVENT_PONG);
    assert_true(daemon_hears_nothing(rig));
    assert_int_equal(worker_flush(rig->worker, &error), OK);
    hear(rig, &event);
    assert_int_equal(event.kind, EVENT_TEXT);
}

/* --- the model file -------------------------------------------------------- */

/* A file with these bytes on descriptor 4, its offset at the end. */
static void put_model(const char *bytes, size_t len)
{
    int fd = memfd_create("model", MFD_CLOEXEC);
    assert_true(write_all(fd, bytes, len));
    if (fd != ENGINE_MODEL_FD) {
        assert_int_equal(dup2(fd, ENGINE_MODEL_FD), ENGINE_MODEL_FD);
        close(fd);
    }
}

static void verify_tells_the_digest(void **state)
{
    struct rig *rig = *state;
    struct order order;
    struct event event;
    put_model("abc", 3);
    order_plain(rig, ORDER_VERIFY, 0);
    assert_int_equal(next(rig, 0, &order), ERR_AGAIN);
    hear(rig, &event);
    assert_int_equal(event.kind, EVENT_DIGEST);
    assert_string_equal(event.digest,
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(lseek(ENGINE_MODEL_FD, 0, SEEK_CUR), 3); /* the offset is left alone */
    close(ENGINE_MODEL_FD);
}

static void verify_without_a_model_fails_the_load(void **state)
{
    struct rig *rig = *state;
    struct order order;
    struct event event;
    close(ENGINE_MODEL_FD);
    order_plain(rig, ORDER_VERIFY, 0);
    assert_int_equal(next(rig, 0, &order), ERR_AGAIN);
    hear(rig, &event);
    assert_int_equal(event.kind, EVENT_ERROR);
    assert_int_equal(event.serial, 0);
    assert_non_null(strstr(event.error.message, "model file"));
}

/* --- events ---------------------------------------------------------------- */

static void events_wait_for_the_flush_and_leave_together(void **state)
{
    struct rig *rig = *state;
    struct event event;
    struct error error;
    char bytes[4096];
    worker_text(rig->worker, 5, TEXT_THINKING, (struct slice){ "hm", 2 });
    worker_refuse(rig->worker, 6, ERR_INVALID_REQUEST, "%d is too much", 9);
    worker_finish(rig->worker, 5, &(struct outcome){ .stop = STOP_LENGTH });
    assert_true(daemon_hears_nothing(rig));
    size_t unsent = worker_unsent(rig->worker);
    assert_int_equal(worker_flush(rig->worker, &error), OK);
    assert_int_equal(worker_unsent(rig->worker), 0);
    assert_int_equal(recv(rig->daemon, bytes, sizeof bytes, MSG_PEEK), unsent);

    hear(rig, &event);
    assert_int_equal(event.kind, EVENT_TEXT);
    assert_int_equal(event.text_kind, TEXT_THINKING);
    hear(rig, &event);
    assert_int_equal(event.kind, EVENT_ERROR);
    assert_int_equal(event.serial, 6);
    assert_string_equal(event.error.message, "9 is too much");
    hear(rig, &event);
    assert_int_equal(event.kind, EVENT_DONE);
    assert_int_equal(event.outcome.stop, STOP_LENGTH);

    assert_int_equal(worker_flush(rig->worker, &error), OK);
    assert_true(daemon_hears_nothing(rig));
}

static void an_end_that_can_not_wait_overtakes_what_does(void **state)
{
    struct rig *rig = *state;
    struct event event;
    struct error error;
    worker_text(rig->worker, 1, TEXT_ANSWER, (struct slice){ "x", 1 });
    worker_finish_now(rig->worker, 2, &(struct outcome){ .stop = STOP_CANCELLED });
    hear(rig, &event);
    assert_int_equal(event.kind, EVENT_DONE);
    assert_int_equal(event.serial, 2);
    assert_int_equal(event.outcome.stop, STOP_CANCELLED);
    assert_int_equal(worker_flush(rig->worker, &error), OK);
    hear(rig, &event);
    assert_int_equal(event.kind, EVENT_TEXT);
}

static void long_reasons_are_cut_at_a_character(void **state)
{
    struct rig *rig = *state;
    struct event event;
    struct error error;
    char reason[701];
    for (size_t i = 0; i + 2 < sizeof reason; i += 2)
        memcpy(reason + i, "\xC3\xBC", 3);
    worker_refuse(rig->worker, 6, ERR_INTERNAL, "%s", reason);
    assert_int_equal(worker_flush(rig->worker, &error), OK);
    hear(rig, &event);
    assert_int_equal(strlen(event.error.message), ERROR_MESSAGE_MAX - 2);
    assert_null(strchr(event.error.message, '?'));
}

static void a_lost_event_is_told_by_the_flush(void **state)
{
    struct rig *rig = *state;
    struct error error;
    const struct outcome impossible = { .prompt_ms = 1e300, .generate_ms = 1e300 };
    worker_finish(rig->worker, 1, &impossible);
    worker_text(rig->worker, 2, TEXT_ANSWER, (struct slice){ "x", 1 });
    assert_int_not_equal(worker_flush(rig->worker, &error), OK);
    assert_true(daemon_hears_nothing(rig));
}

enum { FLOOD = 300, FLOOD_TEXT = 300 * 1024, PINGS_AT_ONCE = 20 };

static void *flood(void *arg)
{
    static char text[FLOOD_TEXT];
    struct rig *rig = arg;
    struct error error;
    memset(text, 'x', sizeof text);
    for (int i = 0; i < FLOOD; i++) {
        worker_text(rig->worker, 1, TEXT_ANSWER, (struct slice){ text, sizeof text });
        if (worker_flush(rig->worker, &error))
            return &flood; /* anything but NULL */
    }
    return NULL;
}

/* Two threads write to one socket that takes only a part of each write.  Only so many
 * pings are on their way at a time, or the daemon played here would block writing. */
static void no_pong_lands_inside_another_event(void **state)
{
    struct rig *rig = *state;
    pthread_t teller, reader;
    int texts = 0, pings = 0, pongs = 0;
    assert_int_equal(fcntl(ENGINE_FD, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(pthread_create(&teller, NULL, flood, rig), 0);
    assert_int_equal(pthread_create(&reader, NULL, await_drain, rig), 0);
    while (texts < FLOOD || pongs < pings) {
        struct event event;
        if (texts < FLOOD && pings - pongs < PINGS_AT_ONCE) {
            order_plain(rig, ORDER_PING, 0);
            pings++;
        }
        hear(rig, &event);
        if (event.kind == EVENT_PONG) {
            pongs++;
        } else {
            assert_int_equal(event.kind, EVENT_TEXT);
            assert_int_equal(event.text.len, FLOOD_TEXT);
            texts++;
        }
    }
    order_plain(rig, ORDER_DRAIN, 0);
    void *failed = NULL;
    pthread_join(reader, &failed);
    assert_null(failed);
    pthread_join(teller, &failed);
    assert_null(failed);
}

#define RIGGED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand_it_does_not_start),
        cmocka_unit_test(without_a_daemon_it_does_not_start),
        RIGGED(it_is_tied_to_its_daemon),
        cmocka_unit_test(exit_codes_say_why_it_left),
        RIGGED(orders_come_in_turn),
        RIGGED(nothing_in_time_is_again),
        RIGGED(half_an_order_does_not_stop_the_clock),
        RIGGED(a_daemon_that_went_is_told),
        RIGGED(nonsense_is_a_protocol_error),
        RIGGED(a_descriptor_that_does_not_block_is_waited_for),
        RIGGED(pings_are_answered_on_the_way),
        RIGGED(a_pong_does_not_take_what_was_told_with_it),
        RIGGED(verify_tells_the_digest),
        RIGGED(verify_without_a_model_fails_the_load),
        RIGGED(events_wait_for_the_flush_and_leave_together),
        RIGGED(an_end_that_can_not_wait_overtakes_what_does),
        RIGGED(long_reasons_are_cut_at_a_character),
        RIGGED(a_lost_event_is_told_by_the_flush),
        RIGGED(no_pong_lands_inside_another_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
