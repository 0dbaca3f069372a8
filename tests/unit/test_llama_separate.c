/*
 * Promises of engines/llama/separate.c, with llama.cpp's templates and parsers: however an
 * answer is cut into pieces, the parts are those of the parser that sees all of it, and
 * it is not asked for every piece.
 */
#include "llama/separate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#include <cmocka.h>

static struct llama_model *model;
static size_t bytes_parsed;

enum err __real_chat_separate(const struct chat *chat, struct slice text, bool whole,
                              struct buf *thinking, struct buf *answer);
enum err __wrap_chat_separate(const struct chat *chat, struct slice text, bool whole,
                              struct buf *thinking, struct buf *answer);

enum err __wrap_chat_separate(const struct chat *chat, struct slice text, bool whole,
                              struct buf *thinking, struct buf *answer)
{
    bytes_parsed += text.len;
    return __real_chat_separate(chat, text, whole, thinking, answer);
}

static struct chat *chat_like(const char *name)
{
    char path[512];
    char *source;
    size_t len;
    struct chat *chat;
    struct error error = { .message = "" };
    snprintf(path, sizeof path, LLAMA_SOURCE "/models/templates/%s.jinja", name);
    if (file_read(path, 1 << 20, &source, &len, &error))
        fail_msg("%s", error.message);
    if (chat_new(model, source, &chat, &error))
        fail_msg("%s: %s", name, error.message);
    free(source);
    return chat;
}

struct parts {
    struct buf thinking, answer;
};

static void parts_init(struct parts *p)
{
    buf_init(&p->thinking, 1 << 22);
    buf_init(&p->answer, 1 << 22);
}

static void parts_done(struct parts *p)
{
    buf_done(&p->thinking);
    buf_done(&p->answer);
}

/* `text`, `step` bytes at a time (it is ASCII). */
static struct parts separated(const struct chat *chat, const char *text, size_t step)
{
    struct separator *s;
    struct parts p;
    size_t len = strlen(text);
    parts_init(&p);
    assert_int_equal(separator_new(chat, &s), OK);
    assert_non_null(s);
    for (size_t at = 0; at < len; at += step) {
        struct slice piece = { text + at, len - at < step ? len - at : step };
        assert_int_equal(separator_add(s, piece, &p.thinking, &p.answer), OK);
    }
    assert_int_equal(separator_end(s, &p.thinking, &p.answer), OK);
    separator_free(s);
    return p;
}

static void expect_buf(const struct buf *b, const char *want)
{
    if (b->len != strlen(want) || memcmp(b->at ? b->at : "", want, b->len) != 0)
        fail_msg("'%.*s' is not '%s'", (int)b->len, b->at ? b->at : "", want);
}

static void expect(const char *template, const char *text, const char *thinking, const char *answer)
{
    struct chat *chat = chat_like(template);
    for (size_t step = 1; step <= strlen(text); step++) {
        struct parts p = separated(chat, text, step);
        expect_buf(&p.thinking, thinking);
        expect_buf(&p.answer, answer);
        parts_done(&p);
    }
    chat_free(chat);
}

#define R1 "deepseek-ai-DeepSeek-R1-Distill-Llama-8B"

static void a_model_that_always_thinks(void **state UNUSED)
{
    expect(R1, "Let me see. 1 < 2, so </b> it is.</think>The answer.",
           "\nLet me see. 1 < 2, so </b> it is.", "The answer.");
    expect(R1, "still think", "\nstill think", "");
    expect(R1, "cut in the tag </thi", "\ncut in the tag </thi", "");
    expect(R1, "a</think>b </think> c <think> d", "\na", "b </think> c <think> d");
}

static void other_markers(void **state UNUSED)
{
    expect("google-gemma-4-31B-it", "<|channel>thought\nhmm<channel|>Yes.", "hmm", "Yes.");
    expect("google-gemma-4-31B-it", "Yes, a < b.", "", "Yes, a < b.");
    expect(
        "openai-gpt-oss-120b",
        "<|channel|>analysis<|message|>hmm<|end|><|start|>assistant<|channel|>final<|message|>Yes.",
        "hmm", "Yes.");
}

static void what_is_not_as_it_should_be_is_the_answer(void **state UNUSED)
{
    expect("openai-gpt-oss-120b", "Just text.", "", "Just text.");
}

static void a_model_that_does_not_think_needs_no_separator(void **state UNUSED)
{
    static const char *const names[] = { "microsoft-Phi-3.5-mini-instruct", "Qwen-Qwen3-0.6B",
                                         "meta-llama-Llama-3.1-8B-Instruct" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct chat *chat = chat_like(names[i]);
        struct separator *s;
        struct buf none;
        buf_init(&none, 10);
        assert_int_equal(separator_new(chat, &s), OK);
        assert_null(s);
        assert_int_equal(separator_end(s, &none, &none), OK);
        chat_free(chat);
    }
}

/* Nothing but what may become a marker is held back. */
static void it_is_told_as_it_comes(void **state UNUSED)
{
    static const char text[] = "Thinking about a </b> or so.</think>And then the answer comes.";
    struct chat *chat = chat_like(R1);
    struct separator *s;
    struct parts p;
    size_t end = (size_t)(strstr(text, "</think>") - text);
    parts_init(&p);
    assert_int_equal(separator_new(chat, &s), OK);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        struct slice byte = { text + i, 1 };
        assert_int_equal(separator_add(s, byte, &p.thinking, &p.answer), OK);
        size_t told = p.thinking.len + p.answer.len;
        size_t most_held = 8; /* </think> */
        if (i < end)
            assert_true(told + most_held >= i + 1);
    }
    assert_int_equal(separator_end(s, &p.thinking, &p.answer), OK);
    expect_buf(&p.answer, "And then the answer comes.");
    separator_free(s);
    parts_done(&p);
    chat_free(chat);
}

/* Four times the text, whatever its length. */
static void the_parser_is_not_asked_for_every_piece(void **state UNUSED)
{
    struct chat *chat = chat_like(R1);
    struct buf text;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 4000; i++)
        assert_int_equal(buf_append_str(&text, i == 2000 ? "</think>" : "word < "), OK);
    assert_int_equal(buf_append(&text, "", 1), OK);
    bytes_parsed = 0;
    struct parts p = separated(chat, text.at, 4);
    assert_true(bytes_parsed <= 4 * text.len);
    assert_true(p.thinking.len > 2000 * 7 && p.answer.len > 1990 * 7);
    parts_done(&p);
    buf_done(&text);
    chat_free(chat);
}

static int load(void **state UNUSED)
{
    struct llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    model = llama_model_load_from_file(LLAMA_SOURCE "/models/ggml-vocab-gpt-2.gguf", params);
    return model ? 0 : -1;
}

static int unload(void **state UNUSED)
{
    llama_model_free(model);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_that_always_thinks),
        cmocka_unit_test(other_markers),
        cmocka_unit_test(what_is_not_as_it_should_be_is_the_answer),
        cmocka_unit_test(a_model_that_does_not_think_needs_no_separator),
        cmocka_unit_test(it_is_told_as_it_comes),
        cmocka_unit_test(the_parser_is_not_asked_for_every_piece),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
