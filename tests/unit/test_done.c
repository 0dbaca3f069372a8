/*
 * What ends a request is read in one of two ways; nobody can tell which.
 */
#include "proto/done.h"

#include <string.h>

#include "proto/engine.h"
#include "test.h"

static bool read_plain(const char *text, uint64_t *serial, struct outcome *outcome)
{
    return done_read((struct slice){ text, strlen(text) }, serial, outcome);
}

static struct event read_any(const char *text)
{
    struct frame frame = { FRAME_JSON, { text, strlen(text) } };
    struct event event;
    struct error error;
    if (event_read(&frame, &event, &error))
        fail_msg("%s", error.message);
    return event;
}

static void expect_same(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->stop, b->stop);
    assert_true(a->prompt_tokens == b->prompt_tokens);
    assert_true(a->completion_tokens == b->completion_tokens);
    assert_true(a->cached_tokens == b->cached_tokens);
    assert_true(a->prompt_ms == b->prompt_ms && a->first_token_ms == b->first_token_ms &&
                a->generate_ms == b->generate_ms);
}

#define DONE(serial, stop, prompt, ms)                                                             \
    "{\"type\":\"done\",\"serial\":" serial ",\"stop_reason\":\"" stop                             \
    "\",\"prompt_tokens\":" prompt ",\"completion_tokens\":2,\"cached_tokens\":0,"                 \
    "\"prompt_ms\":" ms ",\"first_token_ms\":0.125,\"generate_ms\":86400000.001}"

static const struct outcome expected = {
    .stop = STOP_LENGTH,
    .prompt_tokens = 1000,
    .completion_tokens = 2,
    .prompt_ms = 12.5,
    .first_token_ms = 0.125,
    .generate_ms = 86400000.001,
};

static void what_was_put_is_plain(void **state UNUSED)
{
    struct buf out;
    uint64_t serial;
    struct outcome got;
    buf_init(&out, 1024);
    assert_int_equal(done_put(&out, 7, &expected), OK);
    struct slice payload = { memchr(out.at, '{', out.len), 0 };
    payload.len = (size_t)(out.at + out.len - payload.at);
    assert_true(done_read(payload, &serial, &got));
    assert_true(serial == 7);
    expect_same(&got, &expected);
    buf_done(&out);
}

static void both_ways_say_the_same(void **state UNUSED)
{
    static const char *const others[] = {
        DONE("7", "length", "1000", "12.5"),       DONE("7", "length", "1000", "1.25e1"),
        DONE("7", "length", " 1000", "12.500"),    DONE("7", "lengt\\u0068", "1000", "12.500"),
        DONE("7", "length", "1000", "12.500") " ",
    };
    uint64_t serial;
    struct outcome plain;
    assert_true(read_plain(DONE("7", "length", "1000", "12.500"), &serial, &plain));
    expect_same(&plain, &expected);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct outcome ignored;
        assert_false(read_plain(others[i], &serial, &ignored));
        struct event event = read_any(others[i]);
        assert_int_equal(event.kind, EVENT_DONE);
        assert_true(event.serial == 7);
        expect_same(&event.outcome, &expected);
    }
}

static void what_is_wrong_is_left_to_the_parser(void **state UNUSED)
{
    static const char *const wrong[] = {
        DONE("0", "end", "1", "1.000"),
        DONE("07", "end", "1", "1.000"),
        DONE("-7", "end", "1", "1.000"),
        DONE("7", "bored", "1", "1.000"),
        DONE("7", "end", "", "1.000"),
        DONE("7", "end", "01", "1.000"),
        DONE("7", "end", "99999999999999999999", "1.000"),
        DONE("7", "end", "1", "-1.000"),
        DONE("7", "end", "1", "1.0x0"),
        DONE("7", "end", "1", "1000000000000.500"),
        DONE("7", "end", "1", "1.000") "{}",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct frame frame = { FRAME_JSON, { wrong[i], strlen(wrong[i]) } };
        struct event event;
        struct error error;
        uint64_t serial = 1;
        struct outcome got = { .prompt_tokens = 1 };
        assert_false(read_plain(wrong[i], &serial, &got));
        assert_true(serial == 1 && got.prompt_tokens == 1);
        assert_int_not_equal(event_read(&frame, &event, &error), OK);
    }
}

static void a_cut_one_is_none(void **state UNUSED)
{
    const char whole[] = DONE("7", "end", "1", "1.000");
    uint64_t serial;
    struct outcome got;
    for (size_t n = 0; n + 1 < sizeof whole; n++) {
        char *cut = malloc(n ? n : 1); /* its own memory: reading past it is seen */
        assert_non_null(cut);
        memcpy(cut, whole, n);
        assert_false(done_read((struct slice){ cut, n }, &serial, &got));
        free(cut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_plain),
        cmocka_unit_test(both_ways_say_the_same),
        cmocka_unit_test(what_is_wrong_is_left_to_the_parser),
        cmocka_unit_test(a_cut_one_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
