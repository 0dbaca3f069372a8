/*
 * Promises of src/client: whom it trusts, where it looks, what it sends, and that an
 * answer is the same however it arrives.  What only shows with a real socket path and
 * a daemon behind it is tested by tests/system/test_client.py.
 */
#include "base/utf8.h"
#include "client/connection.h" /* before cmocka, whose fail() is a macro */
#include "client/dial.h"
#include "client/encode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* --- whom it trusts --------------------------------------------------------- */

enum { SELF = 1000, OTHER = 1001 };

static void its_own_user_and_root_are_trusted(void **state UNUSED)
{
    assert_int_equal(dial_trusts(SELF, SELF, NULL, NULL), INFERD_OK);
    assert_int_equal(dial_trusts(0, SELF, NULL, NULL), INFERD_OK);
    assert_int_equal(dial_trusts(0, 0, NULL, NULL), INFERD_OK);
}

static void a_stranger_is_not(void **state UNUSED)
{
    struct inferd_error error;
    assert_int_equal(dial_trusts(OTHER, SELF, NULL, &error), INFERD_UNTRUSTED);
    assert_non_null(strstr(error.message, "1001"));
    assert_int_equal(dial_trusts(OTHER, 0, "", &error), INFERD_UNTRUSTED);
    assert_int_equal(dial_trusts(OTHER, SELF, "1002", &error), INFERD_UNTRUSTED);
}

static void a_stranger_can_be_named(void **state UNUSED)
{
    assert_int_equal(dial_trusts(OTHER, SELF, "1001", NULL), INFERD_OK);
    assert_int_equal(dial_trusts(SELF, SELF, "1001", NULL), INFERD_OK);
}

static void a_name_that_is_no_user_number_is_an_error(void **state UNUSED)
{
    static const char *const wrong[] = {
        "inferd", "-1", " 1001", "1001x", "4294967295", "0x0", "99999999999999999999"
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct inferd_error error;
        assert_int_equal(dial_trusts(SELF, SELF, wrong[i], &error), INFERD_INVALID);
        assert_non_null(strstr(error.message, wrong[i]));
    }
}

/* --- where and when it looks ------------------------------------------------ */

static void waits_double_from_100_ms_to_5_s(void **state UNUSED)
{
    static const int want[] = { 100, 200, 400, 800, 1600, 3200, 5000, 5000 };
    int wait = 0;
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        assert_int_equal(wait = dial_backoff(wait), want[i]);
}

static void expect_path(const char *want)
{
    char path[64];
    assert_int_equal(inferd_socket_path("infer.sock", path, sizeof path), INFERD_OK);
    assert_string_equal(path, want);
}

static void the_first_place_that_is_set_counts(void **state UNUSED)
{
    char last[64];
    setenv("HOME", "/home/me", 1);
    setenv("XDG_RUNTIME_DIR", "/run/me", 1);
    setenv("INFERD_RUNTIME_DIR", "/srv/inferd", 1);
    expect_path("/srv/inferd/infer.sock");
    setenv("INFERD_RUNTIME_DIR", "", 1);
    expect_path("/run/me/inferd/infer.sock");
    unsetenv("XDG_RUNTIME_DIR");
    expect_path("/home/me/.inferd/run/infer.sock");
    unsetenv("HOME");
    snprintf(last, sizeof last, "/tmp/inferd-%u/infer.sock", (unsigned)geteuid());
    expect_path(last);
}

static void a_path_that_does_not_fit_is_not_cut(void **state UNUSED)
{
    char path[16];
    setenv("INFERD_RUNTIME_DIR", "/1234567", 1);
    assert_int_equal(inferd_socket_path("abcdef", path, sizeof path), INFERD_OK);
    assert_int_equal(inferd_socket_path("abcdefg", path, sizeof path), INFERD_INVALID);
}

static void a_long_sentence_is_cut_between_characters(void **state UNUSED)
{
    char path[1024] = "xx";
    for (int i = 0; i < 300; i++)
        strcat(path, "\xE2\x82\xAC");
    for (size_t skip = 0; skip < 3; skip++) {
        int fd;
        struct inferd_error error;
        struct utf8 u = { 0 };
        assert_int_equal(dial(path + skip, NULL, 0, &fd, &error), INFERD_INVALID);
        assert_true(strlen(error.message) > sizeof error.message - 4);
        assert_true(utf8_feed(&u, error.message, strlen(error.message)) && utf8_complete(&u));
    }
}

/* --- what it sends ---------------------------------------------------------- */

static const struct inferd_message hi = { INFERD_USER, "hi" };

static struct inferd_request request_of(const struct inferd_message *messages, size_t n)
{
    struct inferd_request r = INFERD_REQUEST_INIT;
    r.messages = messages;
    r.n_messages = n;
    return r;
}

static void expect_line(const struct inferd_request *r, const char *want)
{
    struct buf out;
    buf_init(&out, (size_t)ENCODE_MAX + 16);
    assert_int_equal(encode(r, &out, NULL), INFERD_OK);
    assert_int_equal(buf_append(&out, "", 1), OK);
    assert_string_equal(out.at, want);
    buf_done(&out);
}

static void expect_invalid(const struct inferd_request *r, const char *hint)
{
    struct buf out;
    struct inferd_error error = { 0 };
    buf_init(&out, 4096);
    assert_int_equal(encode(r, &out, &error), INFERD_INVALID);
    assert_int_equal(error.status, INFERD_INVALID);
    assert_non_null(strstr(error.message, hint));
    buf_done(&out);
}

static int ignore(void *context UNUSED, const char *text UNUSED, size_t len UNUSED)
{
    return 0;
}

static void a_bare_request_leaves_everything_to_the_daemon(void **state UNUSED)
{
    struct inferd_request r = request_of(&hi, 1);
    r.on_text = ignore;
    expect_line(&r, "{\"id\":\"\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}\n");
}

static void pieces_are_only_asked_for_if_somebody_listens(void **state UNUSED)
{
    struct inferd_request r = request_of(&hi, 1);
    expect_line(&r, "{\"id\":\"\",\"stream\":false,\"messages\":[{\"role\":\"user\",\"content\":"
                    "\"hi\"}]}\n");
}

static void strings_and_numbers_are_json(void **state UNUSED)
{
    const struct inferd_message messages[] = {
        { INFERD_SYSTEM, "a\"b\\\n\x01" },
        { INFERD_ASSISTANT, "sch\xC3\xB6n" },
    };
    struct inferd_request r = request_of(messages, 2);
    r.on_frame = ignore;
    r.id = "\"";
    r.temperature = 0;
    r.top_p = 0.25;
    r.top_k = 0;
    r.max_tokens = 7;
    r.seed = 4294967295;
    r.grammar = "root ::= \"x\"";
    r.min_p = 0.5;
    r.repeat_penalty = 1.5;
    r.presence_penalty = -2;
    r.frequency_penalty = 0.25;
    static const char *const stop[] = { "\n", "a\"" };
    r.stop = stop;
    r.n_stop = 2;
    static const struct inferd_logit_bias bias[] = { { 7, -100 }, { 4294967295, 0.5 } };
    r.logit_bias = bias;
    r.n_logit_bias = 2;
    expect_line(&r, "{\"id\":\"\\\"\",\"temperature\":0.0,\"top_p\":0.25,\"top_k\":0,"
                    "\"min_p\":0.5,\"repeat_penalty\":1.5,\"presence_penalty\":-2.0,"
                    "\"frequency_penalty\":0.25,\"logit_bias\":{\"7\":-100.0,"
                    "\"4294967295\":0.5},"
                    "\"max_tokens\":7,\"seed\":4294967295,\"grammar\":\"root ::= \\\"x\\\"\","
                    "\"stop\":[\"\\n\",\"a\\\"\"],"
                    "\"messages\":[{\"role\":\"system\",\"content\":\"a\\\"b\\\\\\n\\u0001\"},"
                    "{\"role\":\"assistant\",\"content\":\"sch\xC3\xB6n\"}]}\n");
}

static void what_is_no_request_is_named(void **state UNUSED)
{
    const struct inferd_message no_role[] = { hi, { (enum inferd_role)3, "x" } };
    const struct inferd_message no_content[] = { hi, hi, { INFERD_USER, NULL } };
    const struct inferd_message no_text[] = { hi, { INFERD_USER, "ab\xC3" } };
    struct inferd_request r = request_of(NULL, 0);
    expect_invalid(&r, "at least one message");
    r = request_of(no_role, 2);
    expect_invalid(&r, "messages[1].role is 3");
    r = request_of(no_content, 3);
    expect_invalid(&r, "messages[2].content is NULL");
    r = request_of(no_text, 2);
    expect_invalid(&r, "messages[1].content is not valid UTF-8 at byte 3");
    r = request_of(&hi, 1);
    r.id = "\xFF";
    expect_invalid(&r, "id is not valid UTF-8 at byte 0");
    r.id = NULL;
    r.grammar = "x\x80";
    expect_invalid(&r, "grammar is not valid UTF-8 at byte 1");
    r.grammar = NULL;
    const char *const stop[] = { "fine", NULL, "x\x80" };
    r.stop = stop;
    r.n_stop = 2;
    expect_invalid(&r, "stop[1] is NULL");
    r.stop = stop + 2;
    r.n_stop = 1;
    expect_invalid(&r, "stop[0] is not valid UTF-8 at byte 1");
    r.n_stop = 0;
    const struct inferd_logit_bias bias = { 1, NAN };
    r.logit_bias = &bias;
    r.n_logit_bias = 1;
    expect_invalid(&r, "logit_bias[0].bias");
    r.n_logit_bias = 0;
    r.frequency_penalty = INFINITY;
    expect_invalid(&r, "frequency_penalty");
    r.frequency_penalty = 0;
    r.temperature = NAN;
    expect_invalid(&r, "temperature");
    r.temperature = -1;
    r.top_p = INFINITY;
    expect_invalid(&r, "top_p");
}

/* --- what arrives ----------------------------------------------------------- */

/* A client and the daemon's end of its socket. */
struct pair {
    struct inferd_client *client;
    int daemon;
};

static void set_up(struct pair *p)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(client_adopt(fds[0], &p->client, NULL), INFERD_OK);
    p->daemon = fds[1];
}

static void tear_down(struct pair *p)
{
    inferd_close(p->client);
    close_fd(&p->daemon);
}

static void a_daemon_that_is_gone_raises_no_signal(void **state UNUSED)
{
    struct pair p;
    struct inferd_result result;
    struct inferd_request r = request_of(&hi, 1);
    set_up(&p);
    close_fd(&p.daemon);
    assert_int_equal(inferd_generate(p.client, &r, &result, NULL), INFERD_LOST);
    tear_down(&p);
}

/* What a daemon says once it was asked, `step` bytes at a time. */
struct script {
    int fd;
    const char *text;
    size_t step;
};

static void *play(void *arg)
{
    const struct script *s = arg;
    size_t len = strlen(s->text);
    char asked;
    for (;;) {
        ssize_t n = read(s->fd, &asked, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || asked == '\n')
            break;
    }
    for (size_t at = 0; at < len; at += s->step) {
        size_t n = s->step < len - at ? s->step : len - at;
        if (send(s->fd, s->text + at, n, MSG_NOSIGNAL) < 0)
            break;
    }
    return NULL;
}

static int gather(void *context, const char *text, size_t len)
{
    char *all = context;
    strncat(all, text, len);
    strcat(all, "|");
    return 0;
}

static void it_does_not_matter_how_an_answer_is_chopped(void **state UNUSED)
{
    static const char text[] = "{\"type\":\"token\",\"id\":\"\",\"content\":\"sch\xC3\xB6n\"}\n"
                               "\r\n"
                               "{\"type\":\"token\",\"id\":\"\",\"content\":\"!\"}\r\n"
                               "{\"type\":\"done\",\"id\":\"\",\"content\":\"sch\xC3\xB6n!\"}\n";
    for (size_t step = 1; step <= sizeof text; step++) {
        struct pair p;
        char all[64] = "";
        struct inferd_result result;
        pthread_t thread;
        set_up(&p);
        struct script script = { p.daemon, text, step };
        struct inferd_request r = request_of(&hi, 1);
        r.on_text = gather;
        r.context = all;
        assert_int_equal(pthread_create(&thread, NULL, play, &script), 0);
        assert_int_equal(inferd_generate(p.client, &r, &result, NULL), INFERD_OK);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_string_equal(all, "sch\xC3\xB6n|!|");
        assert_string_equal(result.text, "sch\xC3\xB6n!");
        inferd_result_done(&result);
        tear_down(&p);
    }
}

/* Aborts as soon as something was asked. */
static void *abort_when_asked(void *arg)
{
    struct pair *p = arg;
    char asked;
    if (read(p->daemon, &asked, 1) == 1)
        inferd_abort(p->client);
    return NULL;
}

static void abort_wakes_a_call_that_waits(void **state UNUSED)
{
    struct pair p;
    struct inferd_error error;
    struct inferd_result result;
    pthread_t thread;
    struct inferd_request r = request_of(&hi, 1);
    set_up(&p);
    assert_int_equal(pthread_create(&thread, NULL, abort_when_asked, &p), 0);
    assert_int_equal(inferd_generate(p.client, &r, &result, &error), INFERD_CANCELLED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(inferd_generate(p.client, &r, &result, &error), INFERD_CANCELLED);
    tear_down(&p);
}

static void a_long_refusal_is_cut_between_characters(void **state UNUSED)
{
    struct pair p;
    struct inferd_error error;
    struct inferd_result result;
    char text[1024] = "{\"type\":\"error\",\"id\":\"\",\"code\":\"internal\",\"message\":\"";
    for (int i = 0; i < 300; i++)
        strcat(text, "\xC3\xB6");
    strcat(text, "\"}\n");
    set_up(&p);
    struct inferd_request r = request_of(&hi, 1);
    assert_true(send(p.daemon, text, strlen(text), 0) == (ssize_t)strlen(text));
    assert_int_equal(inferd_generate(p.client, &r, &result, &error), INFERD_REFUSED);
    assert_string_equal(error.code, "internal");
    assert_int_equal(strlen(error.message), 510);
    tear_down(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_own_user_and_root_are_trusted),
        cmocka_unit_test(a_stranger_is_not),
        cmocka_unit_test(a_stranger_can_be_named),
        cmocka_unit_test(a_name_that_is_no_user_number_is_an_error),
        cmocka_unit_test(waits_double_from_100_ms_to_5_s),
        cmocka_unit_test(the_first_place_that_is_set_counts),
        cmocka_unit_test(a_path_that_does_not_fit_is_not_cut),
        cmocka_unit_test(a_long_sentence_is_cut_between_characters),
        cmocka_unit_test(a_bare_request_leaves_everything_to_the_daemon),
        cmocka_unit_test(pieces_are_only_asked_for_if_somebody_listens),
        cmocka_unit_test(strings_and_numbers_are_json),
        cmocka_unit_test(what_is_no_request_is_named),
        cmocka_unit_test(a_daemon_that_is_gone_raises_no_signal),
        cmocka_unit_test(it_does_not_matter_how_an_answer_is_chopped),
        cmocka_unit_test(abort_wakes_a_call_that_waits),
        cmocka_unit_test(a_long_refusal_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
