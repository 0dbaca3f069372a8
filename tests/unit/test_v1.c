/*
 * What surface_v1 promises: which lines are requests, and how answers look.  Lines go
 * through the line reader first, as they do in the daemon.
 */
#include "wire/line.h"
#include "wire/surface.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* cmocka has a macro of the name of our fail(), so it comes last. */
#include <cmocka.h>

enum { ROOMY = 256 * 1024 * 1024 };

#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]"

/* --- requests --------------------------------------------------------------- */

/* What becomes of one line.  `ret` is to be ended with ask_done(). */
static enum err hear_bytes(const char *bytes, size_t n, struct ask *ret, struct error *error)
{
    struct line_reader r;
    struct slice line = { NULL, 0 };
    enum err e = ERR_AGAIN;
    ask_init(ret);
    line_reader_init(&r, REQUEST_BYTES_MAX, surface_v1.max_depth);
    while (n > 0 && e == ERR_AGAIN) {
        char *at;
        size_t room;
        assert_int_equal(line_reader_room(&r, &at, &room), OK);
        size_t part = n < room ? n : room;
        memcpy(at, bytes, part);
        line_reader_filled(&r, part);
        bytes += part;
        n -= part;
        e = line_reader_next(&r, &line, error);
    }
    if (e == ERR_AGAIN) {
        line_reader_end(&r);
        e = line_reader_next(&r, &line, error);
    }
    if (e == OK)
        e = surface_v1.decode(line.at, line.len, ret, error);
    line_reader_done(&r);
    return e;
}

static enum err hear(const char *line, struct ask *ret, struct error *error)
{
    return hear_bytes(line, strlen(line), ret, error);
}

static struct ask accept(const char *line)
{
    struct ask ask;
    struct error error = { .message = "" };
    if (hear(line, &ask, &error) != OK)
        fail_msg("%s: %s", line, error.message);
    return ask;
}

static void expect_slice(struct slice s, const char *want)
{
    assert_int_equal(s.len, strlen(want));
    assert_memory_equal(s.at, want, s.len);
}

/* Refused as no request at all: nothing of it is known, not even its id. */
static void expect_nonsense(const char *line, size_t len, const char *message)
{
    struct ask ask;
    struct error error = { .message = "" };
    assert_int_equal(hear_bytes(line, len, &ask, &error), ERR_PROTOCOL);
    assert_int_equal(error.code, ERR_PROTOCOL);
    if (!strstr(error.message, message))
        fail_msg("'%s' is not in '%s'", message, error.message);
    assert_memory_equal(error.message, "decode: ", 8);
    if (ask.id)
        assert_string_equal(ask.id, "");
    ask_done(&ask);
}

/* Refused, but known by its id. */
static void expect_refused(const char *line, const char *id, const char *message)
{
    struct ask ask;
    struct error error = { .message = "" };
    assert_int_equal(hear(line, &ask, &error), ERR_INVALID_REQUEST);
    assert_string_equal(error.message, message);
    assert_string_equal(ask.id, id);
    ask_done(&ask);
}

static void what_is_left_out_has_its_default(void **state UNUSED)
{
    struct ask ask = accept("{" HI "}");
    const struct generate *g = &ask.generate;
    assert_string_equal(ask.id, "");
    assert_true(ask.stream);
    assert_int_equal(g->n_messages, 1);
    assert_int_equal(g->messages[0].role, ROLE_USER);
    expect_slice(g->messages[0].content, "Hi");
    assert_true(g->temperature == 1.0);
    assert_true(g->top_p == 0.95);
    assert_int_equal(g->top_k, 64);
    assert_int_equal(g->max_tokens, 1000);
    assert_false(g->has_seed);
    assert_int_equal(g->grammar.len, 0);
    assert_true(g->min_p == 0 && g->repeat_penalty == 1);
    assert_true(g->presence_penalty == 0 && g->frequency_penalty == 0);
    assert_int_equal(g->n_stop, 0);
    assert_int_equal(g->n_logit_bias, 0);
    ask_done(&ask);
}

static void null_is_the_same_as_left_out(void **state UNUSED)
{
    struct ask ask = accept("{\"id\":null,\"temperature\":null,\"top_p\":null,\"top_k\":null,"
                            "\"max_tokens\":null,\"stream\":null,\"seed\":null,\"grammar\":null,"
                            "\"image_token_budget\":null,\"min_p\":null,\"stop\":null,"
                            "\"repeat_penalty\":null,\"presence_penalty\":null,"
                            "\"frequency_penalty\":null,\"logit_bias\":null," HI "}");
    assert_string_equal(ask.id, "");
    assert_true(ask.stream);
    assert_true(ask.generate.temperature == 1.0);
    assert_true(ask.generate.top_p == 0.95);
    assert_int_equal(ask.generate.top_k, 64);
    assert_int_equal(ask.generate.max_tokens, 1000);
    assert_false(ask.generate.has_seed);
    assert_int_equal(ask.generate.grammar.len, 0);
    assert_int_equal(ask.generate.n_stop, 0);
    assert_int_equal(ask.generate.n_logit_bias, 0);
    ask_done(&ask);
}

static void what_is_said_counts(void **state UNUSED)
{
    struct ask ask =
        accept("{\"id\":\"a\\\"\\u00e9\",\"temperature\":0.5,\"top_p\":0.25,\"top_k\":7,"
               "\"max_tokens\":9,\"stream\":false,\"seed\":4294967295,"
               "\"grammar\":\"root ::= \\\"a\\\"\",\"messages\":["
               "{\"role\":\"system\",\"content\":\"\"},{\"role\":\"user\",\"content\":\"\\u20ac\"},"
               "{\"role\":\"assistant\",\"content\":\"c\"}]}");
    const struct generate *g = &ask.generate;
    assert_string_equal(ask.id, "a\"é");
    assert_false(ask.stream);
    assert_true(g->temperature == 0.5);
    assert_true(g->top_p == 0.25);
    assert_int_equal(g->top_k, 7);
    assert_int_equal(g->max_tokens, 9);
    assert_true(g->has_seed);
    assert_int_equal(g->seed, UINT32_MAX);
    expect_slice(g->grammar, "root ::= \"a\"");
    assert_int_equal(g->n_messages, 3);
    assert_int_equal(g->messages[0].role, ROLE_SYSTEM);
    assert_int_equal(g->messages[1].role, ROLE_USER);
    assert_int_equal(g->messages[2].role, ROLE_ASSISTANT);
    expect_slice(g->messages[0].content, "");
    expect_slice(g->messages[1].content, "€");
    expect_slice(g->messages[2].content, "c");
    ask_done(&ask);
}

/* The bias of `token`; the order of members means nothing. */
static float bias_of(const struct generate *g, uint32_t token)
{
    for (size_t i = 0; i < g->n_logit_bias; i++)
        if (g->logit_bias[i].token == token)
            return g->logit_bias[i].bias;
    fail_msg("no bias for %u", token);
    return 0;
}

static void how_to_choose_is_said_in_many_ways(void **state UNUSED)
{
    struct ask ask = accept("{\"min_p\":0.05,\"repeat_penalty\":1.5,\"presence_penalty\":-2,"
                            "\"frequency_penalty\":2,\"stop\":[\"\\n\",\"\\u20ac\"],"
                            "\"logit_bias\":{\"0\":-100,\"2147483647\":0.5}," HI "}");
    const struct generate *g = &ask.generate;
    assert_true(g->min_p == 0.05 && g->repeat_penalty == 1.5);
    assert_true(g->presence_penalty == -2 && g->frequency_penalty == 2);
    assert_int_equal(g->n_stop, 2);
    expect_slice(g->stop[0], "\n");
    expect_slice(g->stop[1], "€");
    assert_int_equal(g->n_logit_bias, 2);
    assert_true(bias_of(g, 0) == -100);
    assert_true(bias_of(g, INT32_MAX) == 0.5f);
    ask_done(&ask);
}

static void the_ends_of_a_range_belong_to_it(void **state UNUSED)
{
    struct ask low = accept("{\"temperature\":0,\"top_p\":1e-300,\"top_k\":0,\"max_tokens\":1,"
                            "\"seed\":0,\"image_token_budget\":70," HI "}");
    assert_true(low.generate.temperature == 0);
    assert_true(low.generate.top_p == 1e-300);
    assert_int_equal(low.generate.top_k, 0);
    assert_int_equal(low.generate.max_tokens, 1);
    assert_true(low.generate.has_seed);
    assert_int_equal(low.generate.seed, 0);
    ask_done(&low);

    struct ask high = accept("{\"temperature\":2,\"top_p\":1,\"top_k\":2147483647,"
                             "\"max_tokens\":2147483647,\"image_token_budget\":1120," HI "}");
    assert_true(high.generate.temperature == 2);
    assert_true(high.generate.top_p == 1);
    assert_int_equal(high.generate.top_k, INT32_MAX);
    assert_int_equal(high.generate.max_tokens, INT32_MAX);
    ask_done(&high);
}

static void a_client_may_lower_itself(void **state UNUSED)
{
    struct ask same = accept("{\"priority\":0," HI "}"), lower = accept("{\"priority\":-1," HI "}");
    assert_false(same.later);
    assert_true(lower.later);
    ask_done(&same);
    ask_done(&lower);
}

static void unknown_members_are_ignored_at_every_level(void **state UNUSED)
{
    struct ask ask = accept("{\"model\":[{\"x\":1}],\"n\":5,\"messages\":[{\"role\":\"user\","
                            "\"content\":\"Hi\",\"name\":{}}]}");
    assert_int_equal(ask.generate.n_messages, 1);
    ask_done(&ask);
}

static void a_line_that_is_no_request_ends_the_conversation(void **state UNUSED)
{
    static const struct {
        const char *line;
        const char *message;
    } cases[] = {
        { "hello", "not valid JSON" },
        { "{\"id\":\"a\"," HI, "not valid JSON" },
        { "{\"id\":\"a\"," HI "}}", "end of file expected" },
        { "{\"id\":\"a\"," HI "} {}", "end of file expected" },
        { "{\"id\":\"a\",\"id\":\"b\"," HI "}", "duplicate" },
        { "{\"id\":\"a\",\"x\":{\"y\":1,\"y\":1}," HI "}", "duplicate" },
        { "[]", "must be a JSON object" },
        { "5", "must be a JSON object" },
        { "\"Hi\"", "must be a JSON object" },
        { "null", "must be a JSON object" },
        { "\xEF\xBB\xBF{" HI "}", "byte-order mark" },
        { "{\"id\":\"\xFF\"," HI "}", "invalid UTF-8 at byte 8" },
        { "{\"id\":\"\xC0\x80\"," HI "}", "invalid UTF-8" },
        { "{\"id\":\"\xED\xA0\x80\"," HI "}", "invalid UTF-8" },
        { "{\"id\":\"a\nb\"," HI "}", "not valid JSON" },
        { "{\"id\":\"a\tb\"," HI "}", "control character" },
        { "{\"id\":\"a\\u0000\"," HI "}", "not valid JSON" },
        { "{\"a\\u0000\":\"a\"," HI "}", "not valid JSON" },
        { "{\"id\":\"\\ud800\"," HI "}", "Unicode" },
        { "{\"id\":\"\\udc00\"," HI "}", "Unicode" },
        { "{\"id\":\"\\ud800\\u0041\"," HI "}", "Unicode" },
        { "{\"temperature\":1e400," HI "}", "overflow" },
        { "{\"temperature\":NaN," HI "}", "not valid JSON" },
        { "{\"temperature\":01," HI "}", "not valid JSON" },
        { "{\"top_k\":99999999999999999999," HI "}", "too big integer" },
        { "{\"top_k\":-99999999999999999999," HI "}", "too big negative integer" },

        { "{\"id\":5," HI "}", "id must be a string, not a whole number" },
        { "{\"id\":[]," HI "}", "id must be a string, not an array" },
        { "{\"id\":\"a\"}", "messages is missing" },
        { "{\"id\":\"a\",\"messages\":null}", "messages must be an array" },
        { "{\"id\":\"a\",\"messages\":\"Hi\"}", "messages must be an array" },
        { "{\"id\":\"a\",\"messages\":{}}", "messages must be an array" },
        { "{\"id\":\"a\",\"messages\":[\"Hi\"]}", "messages[0] must be an object" },
        { "{\"messages\":[{\"content\":\"Hi\"}]}", "messages[0].role must be a string" },
        { "{\"messages\":[{\"role\":1,\"content\":\"Hi\"}]}", "messages[0].role must be a string" },
        { "{\"messages\":[{\"role\":\"tool\",\"content\":\"Hi\"}]}",
          "messages[0].role is \"tool\"; it must be \"system\", \"user\" or \"assistant\"" },
        { "{\"messages\":[{\"role\":\"User\",\"content\":\"Hi\"}]}", "messages[0].role is" },
        { "{\"messages\":[{\"role\":\"user\"}]}", "messages[0].content must be a string" },
        { "{\"messages\":[{\"role\":\"user\",\"content\":null}]}", "messages[0].content must be" },
        { "{\"messages\":[{\"role\":\"user\",\"content\":[]}]}", "messages[0].content must be" },
        { "{\"messages\":[{\"role\":\"user\",\"content\":\"\"},{\"role\":\"user\"}]}",
          "messages[1].content must be" },
        { "{\"temperature\":\"1\"," HI "}", "temperature must be a number, not a string" },
        { "{\"top_p\":true," HI "}", "top_p must be a number, not a boolean" },
        { "{\"top_k\":1.5," HI "}", "top_k must be a whole number, not a fraction" },
        { "{\"top_k\":64.0," HI "}", "top_k must be a whole number, not a fraction" },
        { "{\"max_tokens\":\"9\"," HI "}", "max_tokens must be a whole number, not a string" },
        { "{\"max_tokens\":1e2," HI "}", "max_tokens must be a whole number, not a fraction" },
        { "{\"seed\":\"1\"," HI "}", "seed must be a whole number" },
        { "{\"seed\":1.5," HI "}", "seed must be a whole number" },
        { "{\"stream\":1," HI "}", "stream must be true or false, not a whole number" },
        { "{\"stream\":\"no\"," HI "}", "stream must be true or false, not a string" },
        { "{\"image_token_budget\":70.5," HI "}", "image_token_budget must be a whole number" },
        { "{\"grammar\":{}," HI "}", "grammar must be a string, not an object" },
        { "{\"min_p\":\"0\"," HI "}", "min_p must be a number, not a string" },
        { "{\"repeat_penalty\":[]," HI "}", "repeat_penalty must be a number, not an array" },
        { "{\"presence_penalty\":true," HI "}", "presence_penalty must be a number" },
        { "{\"frequency_penalty\":\"\"," HI "}", "frequency_penalty must be a number" },
        { "{\"stop\":\"x\"," HI "}", "stop must be an array of strings" },
        { "{\"stop\":[\"x\",1]," HI "}", "stop[1] must be a string" },
        { "{\"logit_bias\":[1]," HI "}", "logit_bias must be an object of numbers" },
        { "{\"logit_bias\":{\"1\":\"x\"}," HI "}", "logit_bias[\"1\"] must be a number" },
        { "{\"logit_bias\":{\"1\":1,\"1\":1}," HI "}", "duplicate" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_nonsense(cases[i].line, strlen(cases[i].line), cases[i].message);
}

static void a_raw_nul_is_refused(void **state UNUSED)
{
    static const char line[] = "{\"id\":\"a\0\"," HI "}";
    expect_nonsense(line, sizeof line - 1, "a NUL at byte 9 of the line");
}

/* `head`, `bit` as often as said, `tail`. */
static struct buf repeat(const char *head, const char *bit, size_t count, const char *tail)
{
    struct buf b;
    buf_init(&b, ROOMY);
    assert_int_equal(buf_append_str(&b, head), OK);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(buf_append_str(&b, bit), OK);
    assert_int_equal(buf_append(&b, tail, strlen(tail) + 1), OK);
    return b;
}

static void what_is_nested_too_deep_is_refused(void **state UNUSED)
{
    struct buf deep = repeat("{\"id\":\"a\",\"x\":", "[", 100000, "");
    expect_nonsense(deep.at, deep.len - 1, "nesting deeper than 64");
    buf_done(&deep);
    struct buf objects = repeat("", "{\"a\":", 100000, "");
    expect_nonsense(objects.at, objects.len - 1, "nesting deeper than 64");
    buf_done(&objects);
}

static void too_many_values_are_refused(void **state UNUSED)
{
    /* With the object and the array there are two more. */
    struct buf many = repeat("{\"x\":[0", ",0", LINE_VALUES_MAX - 2, "]}");
    expect_nonsense(many.at, many.len - 1, "more values than 100000");
    buf_done(&many);
    struct buf objects = repeat("[", "{},", LINE_VALUES_MAX, "{}]");
    expect_nonsense(objects.at, objects.len - 1, "more values than 100000");
    buf_done(&objects);
}

static void a_value_out_of_range_is_refused_under_the_requests_id(void **state UNUSED)
{
    static const struct {
        const char *line;
        const char *message;
    } cases[] = {
        { "{\"id\":\"a\",\"messages\":[]}", "messages must not be empty" },
        { "{\"id\":\"a\",\"temperature\":2.5," HI "}",
          "temperature is 2.5; it must be from 0 to 2" },
        { "{\"id\":\"a\",\"temperature\":-1," HI "}", "temperature is -1; it must be from 0 to 2" },
        { "{\"id\":\"a\",\"top_p\":0," HI "}", "top_p is 0; it must be above 0 and at most 1" },
        { "{\"id\":\"a\",\"top_p\":1.5," HI "}", "top_p is 1.5; it must be above 0 and at most 1" },
        { "{\"id\":\"a\",\"top_p\":-1e300," HI "}",
          "top_p is -1e+300; it must be above 0 and at most 1" },
        { "{\"id\":\"a\",\"priority\":1," HI "}", "priority is 1; it must be from -1 to 0" },
        { "{\"id\":\"a\",\"priority\":-2," HI "}", "priority is -2; it must be from -1 to 0" },
        { "{\"id\":\"a\",\"top_k\":-1," HI "}", "top_k is -1; it must be from 0 to 2147483647" },
        { "{\"id\":\"a\",\"top_k\":2147483648," HI "}",
          "top_k is 2147483648; it must be from 0 to 2147483647" },
        { "{\"id\":\"a\",\"top_k\":4294967296," HI "}",
          "top_k is 4294967296; it must be from 0 to 2147483647" },
        { "{\"id\":\"a\",\"max_tokens\":0," HI "}",
          "max_tokens is 0; it must be from 1 to 2147483647" },
        { "{\"id\":\"a\",\"max_tokens\":-1," HI "}",
          "max_tokens is -1; it must be from 1 to 2147483647" },
        { "{\"id\":\"a\",\"max_tokens\":4294967297," HI "}",
          "max_tokens is 4294967297; it must be from 1 to 2147483647" },
        { "{\"id\":\"a\",\"seed\":-1," HI "}", "seed is -1; it must be from 0 to 4294967295" },
        { "{\"id\":\"a\",\"seed\":4294967296," HI "}",
          "seed is 4294967296; it must be from 0 to 4294967295" },
        { "{\"id\":\"a\",\"min_p\":1.5," HI "}", "min_p is 1.5; it must be from 0 to 1" },
        { "{\"id\":\"a\",\"repeat_penalty\":0," HI "}",
          "repeat_penalty is 0; it must be from 0.01 to 10" },
        { "{\"id\":\"a\",\"presence_penalty\":2.1," HI "}",
          "presence_penalty is 2.1; it must be from -2 to 2" },
        { "{\"id\":\"a\",\"frequency_penalty\":-3," HI "}",
          "frequency_penalty is -3; it must be from -2 to 2" },
        { "{\"id\":\"a\",\"stop\":[]," HI "}", "stop has 0 strings; it must have from 1 to 16" },
        { "{\"id\":\"a\",\"stop\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]," HI "}",
          "stop has 17 strings; it must have from 1 to 16" },
        { "{\"id\":\"a\",\"stop\":[\"x\",\"\"]," HI "}",
          "stop[1] has 0 bytes; it must have from 1 to 256" },
        { "{\"id\":\"a\",\"logit_bias\":{\"7\":-100.5}," HI "}",
          "logit_bias[\"7\"] is -100.5; it must be from -100 to 100" },
        { "{\"id\":\"a\",\"logit_bias\":{\"x\":1}," HI "}",
          "logit_bias has a member \"x\"; its members are tokens, from 0 to 2147483647" },
        { "{\"id\":\"a\",\"logit_bias\":{\"01\":1}," HI "}",
          "logit_bias has a member \"01\"; its members are tokens, from 0 to 2147483647" },
        { "{\"id\":\"a\",\"logit_bias\":{\"\":1}," HI "}",
          "logit_bias has a member \"\"; its members are tokens, from 0 to 2147483647" },
        { "{\"id\":\"a\",\"logit_bias\":{\"2147483648\":1}," HI "}",
          "logit_bias has a member \"2147483648\"; its members are tokens, from 0 to 2147483647" },
        { "{\"id\":\"a\",\"image_token_budget\":100," HI "}",
          "image_token_budget 100 not in [70, 140, 280, 560, 1120]" },
        { "{\"id\":\"a\",\"image_token_budget\":-70," HI "}",
          "image_token_budget -70 not in [70, 140, 280, 560, 1120]" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char message[200];
        snprintf(message, sizeof message, "invalid request: %s", cases[i].message);
        expect_refused(cases[i].line, "a", message);
    }
}

static void the_first_value_out_of_range_is_named(void **state UNUSED)
{
    expect_refused("{\"seed\":-1,\"top_k\":-1,\"id\":\"a\"," HI "}", "a",
                   "invalid request: top_k is -1; it must be from 0 to 2147483647");
}

static void a_wrong_type_counts_more_than_a_value_out_of_range(void **state UNUSED)
{
    static const char line[] = "{\"id\":\"a\",\"messages\":[],\"top_k\":-1,\"grammar\":5}";
    expect_nonsense(line, sizeof line - 1, "grammar must be a string");
}

static void an_id_may_have_256_bytes(void **state UNUSED)
{
    struct buf most = repeat("{\"id\":\"", "\xC3\xA9", ID_BYTES_MAX / 2, "\"," HI "}");
    struct ask ask = accept(most.at);
    assert_int_equal(strlen(ask.id), ID_BYTES_MAX);
    ask_done(&ask);
    buf_done(&most);

    struct buf more = repeat("{\"id\":\"", "a", ID_BYTES_MAX + 1, "\"," HI "}");
    expect_refused(more.at, "", "invalid request: id has 257 bytes; at most 256 are allowed");
    buf_done(&more);
}

static void a_stop_string_may_have_256_bytes(void **state UNUSED)
{
    struct buf most = repeat("{\"stop\":[\"", "\xC3\xA9", STOP_BYTES_MAX / 2, "\"]," HI "}");
    struct ask ask = accept(most.at);
    assert_int_equal(ask.generate.stop[0].len, STOP_BYTES_MAX);
    ask_done(&ask);
    buf_done(&most);

    struct buf more = repeat("{\"id\":\"a\",\"stop\":[\"", "a", STOP_BYTES_MAX + 1, "\"]," HI "}");
    expect_refused(more.at, "a",
                   "invalid request: stop[0] has 257 bytes; it must have from 1 to 256");
    buf_done(&more);
}

/* `n` members of logit_bias, for tokens 0, 1, 2... */
static struct buf biases(int n)
{
    struct buf b = repeat("{\"id\":\"a\",\"logit_bias\":{", "", 0, "");
    b.len--;
    for (int i = 0; i < n; i++)
        assert_int_equal(buf_printf(&b, "%s\"%d\":%d", i ? "," : "", i, i % 100), OK);
    assert_int_equal(buf_append(&b, "}," HI "}", sizeof "}," HI "}"), OK);
    return b;
}

static void a_thousand_tokens_may_be_biased(void **state UNUSED)
{
    struct buf most = biases(LOGIT_BIASES_MAX);
    struct ask ask = accept(most.at);
    assert_int_equal(ask.generate.n_logit_bias, LOGIT_BIASES_MAX);
    assert_true(bias_of(&ask.generate, 1023) == 23);
    ask_done(&ask);
    buf_done(&most);

    struct buf more = biases(LOGIT_BIASES_MAX + 1);
    expect_refused(more.at, "a",
                   "invalid request: logit_bias has 1025 members; at most 1024 are allowed");
    buf_done(&more);
}

static void a_grammar_has_its_limits(void **state UNUSED)
{
    struct buf most = repeat("{\"grammar\":\"", "a", GRAMMAR_BYTES_MAX, "\"," HI "}");
    struct ask ask = accept(most.at);
    assert_int_equal(ask.generate.grammar.len, GRAMMAR_BYTES_MAX);
    ask_done(&ask);
    buf_done(&most);

    struct buf longer =
        repeat("{\"id\":\"a\",\"grammar\":\"", "a", GRAMMAR_BYTES_MAX + 1, "\"," HI "}");
    expect_refused(longer.at, "a",
                   "invalid request: grammar has 65537 bytes; at most 65536 are allowed");
    buf_done(&longer);

    struct buf wide = repeat("{\"grammar\":\"", "|", GRAMMAR_ALTERNATIVES_MAX, "\"," HI "}");
    ask = accept(wide.at);
    ask_done(&ask);
    buf_done(&wide);

    struct buf wider =
        repeat("{\"id\":\"a\",\"grammar\":\"", "|", GRAMMAR_ALTERNATIVES_MAX + 1, "\"," HI "}");
    expect_refused(
        wider.at, "a",
        "invalid request: grammar has 4097 alternatives ('|'); at most 4096 are allowed");
    buf_done(&wider);
}

static void a_message_shows_80_characters_of_a_value(void **state UNUSED)
{
    struct buf role = repeat("{\"messages\":[{\"role\":\"", "😀", 81, "\",\"content\":\"\"}]}");
    struct buf want = repeat("messages[0].role is \"", "😀", 80, "\"; it must be \"system\"");
    expect_nonsense(role.at, role.len - 1, want.at);
    buf_done(&role);
    buf_done(&want);
}

static void a_prompt_is_not_copied(void **state UNUSED)
{
    struct ask ask = accept("{" HI "}");
    const json_t *messages = json_object_get(ask.generate.tree, "messages");
    const json_t *content = json_object_get(json_array_get(messages, 0), "content");
    assert_ptr_equal(ask.generate.messages[0].content.at, json_string_value(content));
    ask_done(&ask);
}

static void an_ask_can_be_ended_twice(void **state UNUSED)
{
    struct ask ask = accept("{\"id\":\"a\"," HI "}");
    ask_done(&ask);
    assert_null(ask.id);
    assert_null(ask.generate.messages);
    ask_done(&ask);
}

/* --- answers ---------------------------------------------------------------- */

struct rig {
    struct answer a;
    struct buf out;
};

static void set_up(struct rig *rig, const char *line)
{
    struct ask ask = accept(line);
    assert_int_equal(answer_init(&rig->a, &ask), OK);
    ask_done(&ask);
    buf_init(&rig->out, ROOMY);
}

static void tear_down(struct rig *rig)
{
    answer_done(&rig->a);
    buf_done(&rig->out);
}

static void say(struct rig *rig, enum text_kind kind, const char *text)
{
    struct slice s = { text, strlen(text) };
    assert_int_equal(surface_v1.put_text(&rig->a, kind, s, &rig->out), OK);
}

/* All frames since last asked. */
static void expect_out(struct rig *rig, const char *want)
{
    assert_int_equal(buf_append(&rig->out, "", 1), OK);
    assert_string_equal(rig->out.at, want);
    buf_clear(&rig->out);
}

static void text_is_a_token_frame(void **state UNUSED)
{
    struct rig rig;
    set_up(&rig, "{\"id\":\"a\"," HI "}");
    say(&rig, TEXT_ANSWER, "Hel");
    say(&rig, TEXT_ANSWER, "lo\n\"€\\");
    expect_out(&rig, "{\"type\":\"token\",\"id\":\"a\",\"content\":\"Hel\"}\n"
                     "{\"type\":\"token\",\"id\":\"a\",\"content\":\"lo\\n\\\"€\\\\\"}\n");
    tear_down(&rig);
}

static void nothing_is_no_frame(void **state UNUSED)
{
    struct rig rig;
    set_up(&rig, "{\"id\":\"a\"," HI "}");
    say(&rig, TEXT_ANSWER, "");
    expect_out(&rig, "");
    tear_down(&rig);
}

static const struct outcome outcome = {
    .stop = STOP_LENGTH,
    .prompt_tokens = 7,
    .completion_tokens = 3,
    .cached_tokens = 5,
    .queue_ms = 0.25,
    .prompt_ms = 12.5,
    .first_token_ms = 13,
    .generate_ms = 1.5,
};

#define OUTCOME                                                                                    \
    ",\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3,\"cached_tokens\":5},"                \
    "\"stop_reason\":\"length\",\"backend\":\"mock\",\"timings\":{\"queue_ms\":0.250,"             \
    "\"prompt_ms\":12.500,\"first_token_ms\":13.000,\"generate_ms\":1.500,"                        \
    "\"tokens_per_second\":1333.33}}\n"

static void the_last_frame_has_the_full_text_and_the_numbers(void **state UNUSED)
{
    struct rig rig;
    set_up(&rig, "{\"id\":\"a\\n\"," HI "}");
    say(&rig, TEXT_ANSWER, "He\"l");
    say(&rig, TEXT_ANSWER, "lo");
    buf_clear(&rig.out);
    assert_int_equal(surface_v1.put_done(&rig.a, &outcome, "mock", &rig.out), OK);
    expect_out(&rig, "{\"type\":\"done\",\"id\":\"a\\n\",\"content\":\"He\\\"llo\"" OUTCOME);
    tear_down(&rig);
}

static void an_answer_without_text_has_an_empty_one(void **state UNUSED)
{
    struct rig rig;
    set_up(&rig, "{" HI "}");
    assert_int_equal(surface_v1.put_done(&rig.a, &outcome, "mock", &rig.out), OK);
    expect_out(&rig, "{\"type\":\"done\",\"id\":\"\",\"content\":\"\"" OUTCOME);
    tear_down(&rig);
}

static void without_stream_the_last_frame_has_it_all(void **state UNUSED)
{
    struct rig rig;
    set_up(&rig, "{\"id\":\"a\",\"stream\":false," HI "}");
    say(&rig, TEXT_ANSWER, "Hel");
    say(&rig, TEXT_ANSWER, "lo");
    expect_out(&rig, "");
    assert_int_equal(surface_v1.put_done(&rig.a, &outcome, "mock", &rig.out), OK);
    expect_out(&rig, "{\"type\":\"done\",\"id\":\"a\",\"content\":\"Hello\"" OUTCOME);
    tear_down(&rig);
}

static void thinking_is_left_out(void **state UNUSED)
{
    struct rig rig;
    set_up(&rig, "{\"id\":\"a\"," HI "}");
    say(&rig, TEXT_THINKING, "hmm");
    expect_out(&rig, "");
    assert_int_equal(surface_v1.put_done(&rig.a, &outcome, "mock", &rig.out), OK);
    expect_out(&rig, "{\"type\":\"done\",\"id\":\"a\",\"content\":\"\"" OUTCOME);
    tear_down(&rig);
}

static void every_end_has_its_name(void **state UNUSED)
{
    static const char *const names[] = {
        [STOP_END] = "\"stop_reason\":\"end\"",
        [STOP_LENGTH] = "\"stop_reason\":\"length\"",
        [STOP_CANCELLED] = "\"stop_reason\":\"cancelled\"",
        [STOP_ERROR] = "\"stop_reason\":\"error\"",
    };
    struct rig rig;
    set_up(&rig, "{" HI "}");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct outcome o = { .stop = (enum stop_reason)i };
        assert_int_equal(surface_v1.put_done(&rig.a, &o, "mock", &rig.out), OK);
        assert_int_equal(buf_append(&rig.out, "", 1), OK);
        assert_non_null(strstr(rig.out.at, names[i]));
        buf_clear(&rig.out);
    }
    tear_down(&rig);
}

static void a_speed_beyond_measure_is_still_json(void **state UNUSED)
{
    struct rig rig;
    struct outcome o = { .completion_tokens = 1000, .generate_ms = 1e-320 };
    set_up(&rig, "{" HI "}");
    assert_int_equal(surface_v1.put_done(&rig.a, &o, "mock", &rig.out), OK);
    CLEANUP(json_drop) json_t *tree = NULL;
    assert_int_equal(json_read(rig.out.at, rig.out.len, &tree, NULL), OK);
    tear_down(&rig);
}

static void an_error_has_its_code_and_sentence(void **state UNUSED)
{
    struct rig rig;
    struct error error = { ERR_QUEUE_FULL, "\"queue\" full" };
    set_up(&rig, "{\"id\":\"a\"," HI "}");
    assert_int_equal(surface_v1.put_error(&rig.a, &error, NULL, &rig.out), OK);
    expect_out(&rig, "{\"type\":\"error\",\"id\":\"a\",\"code\":\"queue_full\","
                     "\"message\":\"\\\"queue\\\" full\"}\n");
    tear_down(&rig);
}

static void a_full_queue_says_when_to_come_back(void **state UNUSED)
{
    static const struct crowd crowd = { .queue_depth = 10, .retry_after_ms = 1200 };
    struct rig rig;
    struct error full = { ERR_QUEUE_FULL, "full" }, other = { ERR_INTERNAL, "no" };
    set_up(&rig, "{\"id\":\"a\"," HI "}");
    assert_int_equal(surface_v1.put_error(&rig.a, &full, &crowd, &rig.out), OK);
    expect_out(&rig, "{\"type\":\"error\",\"id\":\"a\",\"code\":\"queue_full\","
                     "\"message\":\"full\",\"queue_depth\":10,\"retry_after_ms\":1200}\n");
    assert_int_equal(surface_v1.put_error(&rig.a, &other, &crowd, &rig.out), OK);
    expect_out(&rig, "{\"type\":\"error\",\"id\":\"a\",\"code\":\"internal\","
                     "\"message\":\"no\"}\n");
    tear_down(&rig);
}

static void an_error_of_no_request_has_no_id_and_is_the_clients(void **state UNUSED)
{
    struct buf out;
    struct error error;
    struct ask ask;
    buf_init(&out, ROOMY);
    assert_int_equal(hear("[]", &ask, &error), ERR_PROTOCOL);
    assert_int_equal(surface_v1.put_error(NULL, &error, NULL, &out), OK);
    assert_int_equal(buf_append(&out, "", 1), OK);
    assert_string_equal(out.at, "{\"type\":\"error\",\"id\":\"\",\"code\":\"invalid_request\","
                                "\"message\":\"decode: a request must be a JSON object\"}\n");
    ask_done(&ask);
    buf_done(&out);
}

static void with_a_request_a_broken_protocol_is_ours(void **state UNUSED)
{
    struct rig rig;
    struct error error = { ERR_PROTOCOL, "an engine said nonsense" };
    set_up(&rig, "{\"id\":\"a\"," HI "}");
    assert_int_equal(surface_v1.put_error(&rig.a, &error, NULL, &rig.out), OK);
    expect_out(&rig, "{\"type\":\"error\",\"id\":\"a\",\"code\":\"internal\","
                     "\"message\":\"an engine said nonsense\"}\n");
    tear_down(&rig);
}

static void what_does_not_fit_leaves_nothing_behind(void **state UNUSED)
{
    struct rig rig;
    struct error error = { ERR_INTERNAL, "a sentence" };
    set_up(&rig, "{\"id\":\"a\"," HI "}");
    say(&rig, TEXT_ANSWER, "Hello");
    for (size_t max = 0; max < 40; max++) {
        struct buf tight;
        buf_init(&tight, max);
        struct slice s = { "a", 1 };
        assert_int_equal(surface_v1.put_text(&rig.a, TEXT_ANSWER, s, &tight), ERR_FRAME_TOO_LARGE);
        assert_int_equal(surface_v1.put_done(&rig.a, &outcome, "mock", &tight),
                         ERR_FRAME_TOO_LARGE);
        assert_int_equal(surface_v1.put_error(&rig.a, &error, NULL, &tight), ERR_FRAME_TOO_LARGE);
        assert_int_equal(tight.len, 0);
        buf_done(&tight);
    }
    buf_clear(&rig.out);
    assert_int_equal(surface_v1.put_done(&rig.a, &outcome, "mock", &rig.out), OK);
    expect_out(&rig, "{\"type\":\"done\",\"id\":\"a\",\"content\":\"Hello\"" OUTCOME);
    tear_down(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left_out_has_its_default),
        cmocka_unit_test(null_is_the_same_as_left_out),
        cmocka_unit_test(what_is_said_counts),
        cmocka_unit_test(how_to_choose_is_said_in_many_ways),
        cmocka_unit_test(the_ends_of_a_range_belong_to_it),
        cmocka_unit_test(a_client_may_lower_itself),
        cmocka_unit_test(unknown_members_are_ignored_at_every_level),
        cmocka_unit_test(a_line_that_is_no_request_ends_the_conversation),
        cmocka_unit_test(a_raw_nul_is_refused),
        cmocka_unit_test(what_is_nested_too_deep_is_refused),
        cmocka_unit_test(too_many_values_are_refused),
        cmocka_unit_test(a_value_out_of_range_is_refused_under_the_requests_id),
        cmocka_unit_test(the_first_value_out_of_range_is_named),
        cmocka_unit_test(a_wrong_type_counts_more_than_a_value_out_of_range),
        cmocka_unit_test(an_id_may_have_256_bytes),
        cmocka_unit_test(a_stop_string_may_have_256_bytes),
        cmocka_unit_test(a_thousand_tokens_may_be_biased),
        cmocka_unit_test(a_grammar_has_its_limits),
        cmocka_unit_test(a_message_shows_80_characters_of_a_value),
        cmocka_unit_test(a_prompt_is_not_copied),
        cmocka_unit_test(an_ask_can_be_ended_twice),
        cmocka_unit_test(text_is_a_token_frame),
        cmocka_unit_test(nothing_is_no_frame),
        cmocka_unit_test(the_last_frame_has_the_full_text_and_the_numbers),
        cmocka_unit_test(an_answer_without_text_has_an_empty_one),
        cmocka_unit_test(without_stream_the_last_frame_has_it_all),
        cmocka_unit_test(thinking_is_left_out),
        cmocka_unit_test(every_end_has_its_name),
        cmocka_unit_test(a_speed_beyond_measure_is_still_json),
        cmocka_unit_test(an_error_has_its_code_and_sentence),
        cmocka_unit_test(a_full_queue_says_when_to_come_back),
        cmocka_unit_test(an_error_of_no_request_has_no_id_and_is_the_clients),
        cmocka_unit_test(with_a_request_a_broken_protocol_is_ours),
        cmocka_unit_test(what_does_not_fit_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
