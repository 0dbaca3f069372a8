/*
 * Whatever surface_v1 accepts is in range, and whatever it writes is one line of
 * JSON, about the request that was meant.
 */
#include "fuzz.h"

#include <string.h>

#include "wire/line.h"
#include "wire/surface.h"

static void check_text(struct slice text)
{
    struct utf8 u = { 0 };
    REQUIRE(utf8_feed(&u, text.at, text.len) && utf8_complete(&u));
    REQUIRE(text.len == 0 || !memchr(text.at, '\0', text.len));
}

static void check_ask(const struct ask *ask)
{
    const struct generate *g = &ask->generate;
    REQUIRE(ask->id && strlen(ask->id) <= ID_BYTES_MAX);
    REQUIRE(g->n_messages > 0 && g->messages);
    for (size_t i = 0; i < g->n_messages; i++) {
        REQUIRE(g->messages[i].role <= ROLE_ASSISTANT);
        check_text(g->messages[i].content);
    }
    REQUIRE(g->temperature >= 0 && g->temperature <= 2);
    REQUIRE(g->top_p > 0 && g->top_p <= 1);
    REQUIRE(g->top_k <= INT32_MAX);
    REQUIRE(g->max_tokens >= 1 && g->max_tokens <= INT32_MAX);
    REQUIRE(g->min_p >= 0 && g->min_p <= 1);
    REQUIRE(g->repeat_penalty >= 0.01 && g->repeat_penalty <= 10);
    REQUIRE(g->presence_penalty >= -2 && g->presence_penalty <= 2);
    REQUIRE(g->frequency_penalty >= -2 && g->frequency_penalty <= 2);
    REQUIRE(g->grammar.len <= GRAMMAR_BYTES_MAX);
    check_text(g->grammar);
    REQUIRE(g->n_stop <= STOPS_MAX);
    for (size_t i = 0; i < g->n_stop; i++) {
        REQUIRE(g->stop[i].len >= 1 && g->stop[i].len <= STOP_BYTES_MAX);
        check_text(g->stop[i]);
    }
    REQUIRE(g->n_logit_bias <= LOGIT_BIASES_MAX);
    for (size_t i = 0; i < g->n_logit_bias; i++)
        REQUIRE(g->logit_bias[i].bias >= -100 && g->logit_bias[i].bias <= 100);
}

/* One frame, of that type and id, with `content` as `key` unless that is NULL; then
 * the buffer is empty again. */
static void check_frame(struct buf *out, const char *type, const char *id, const char *key,
                        struct slice content)
{
    REQUIRE(out->len > 0 && memchr(out->at, '\n', out->len) == out->at + out->len - 1);
    CLEANUP(json_drop) json_t *tree = NULL;
    REQUIRE(json_read(out->at, out->len, &tree, NULL) == OK);
    REQUIRE(strcmp(json_string_value(json_object_get(tree, "type")), type) == 0);
    REQUIRE(strcmp(json_string_value(json_object_get(tree, "id")), id) == 0);
    if (key) {
        const json_t *said = json_object_get(tree, key);
        REQUIRE(json_string_length(said) == content.len);
        REQUIRE(memcmp(json_string_value(said), content.at, content.len) == 0);
    }
    buf_clear(out);
}

static void check_error(const struct ask *ask, const struct error *error)
{
    struct answer a;
    struct buf out;
    struct slice message = { error->message, strlen(error->message) };
    buf_init(&out, ROOMY);
    REQUIRE(error->code == ERR_PROTOCOL || error->code == ERR_INVALID_REQUEST);
    if (error->code == ERR_PROTOCOL) {
        REQUIRE(surface_v1.put_error(NULL, error, NULL, &out) == OK);
        check_frame(&out, "error", "", "message", message);
    } else {
        REQUIRE(answer_init(&a, ask) == OK);
        REQUIRE(surface_v1.put_error(&a, error, NULL, &out) == OK);
        check_frame(&out, "error", ask->id, "message", message);
        answer_done(&a);
    }
    buf_done(&out);
}

/* Echo the messages. */
static void check_answer(const struct ask *ask)
{
    static const struct outcome outcome = { .stop = STOP_END, .completion_tokens = 2 };
    struct answer a;
    struct buf out;
    struct buf all;
    buf_init(&out, ROOMY);
    buf_init(&all, ROOMY);
    REQUIRE(buf_append_str(&all, "") == OK);
    REQUIRE(answer_init(&a, ask) == OK);
    for (size_t i = 0; i < ask->generate.n_messages; i++) {
        struct slice text = ask->generate.messages[i].content;
        REQUIRE(buf_append(&all, text.at, text.len) == OK);
        REQUIRE(surface_v1.put_text(&a, TEXT_ANSWER, text, &out) == OK);
        REQUIRE((out.len > 0) == (ask->stream && text.len > 0));
        if (out.len > 0)
            check_frame(&out, "token", ask->id, "content", text);
    }
    REQUIRE(surface_v1.put_done(&a, &outcome, "mock", &out) == OK);
    check_frame(&out, "done", ask->id, all.len ? "content" : NULL,
                (struct slice){ all.at, all.len });
    answer_done(&a);
    buf_done(&out);
    buf_done(&all);
}

static void hear(struct slice line)
{
    struct ask ask;
    struct error error;
    enum err e = surface_v1.decode(line.at, line.len, &ask, &error);
    if (e) {
        REQUIRE(error.code == e);
        REQUIRE(e != ERR_PROTOCOL || strcmp(ask.id, "") == 0);
        check_error(&ask, &error);
    } else {
        check_ask(&ask);
        check_answer(&ask);
    }
    ask_done(&ask);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct line_reader r;
    struct slice line;
    struct error error;
    char *at;
    size_t room;
    line_reader_init(&r, REQUEST_BYTES_MAX, surface_v1.max_depth);
    REQUIRE(line_reader_room(&r, &at, &room) == OK);
    if (size > room)
        size = room;
    if (size > 0)
        memcpy(at, data, size);
    line_reader_filled(&r, size);
    line_reader_end(&r);
    while (line_reader_next(&r, &line, &error) == OK)
        hear(line);
    line_reader_done(&r);
    return 0;
}
