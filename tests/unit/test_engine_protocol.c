/*
 * test_engine_protocol.c - orders and events survive the trip, and what is none is
 * refused with a sentence.
 */
#include "test.h"

#include <stdio.h>
#include <string.h>

#include "proto/engine.h"

/* One end writes to it, the other reads from it. */
struct wire {
    struct buf out;
    struct frame_reader in;
};

static void wire_init(struct wire *w)
{
    buf_init(&w->out, ENGINE_FRAME_MAX);
    frame_reader_init(&w->in, ENGINE_FRAME_MAX);
}

static void wire_done(struct wire *w)
{
    buf_done(&w->out);
    frame_reader_done(&w->in);
}

/* All that was put, to the reader at the other end. */
static void carry_all(struct wire *w)
{
    char *at;
    size_t room;
    for (size_t sent = 0; sent < w->out.len;) {
        assert_int_equal(frame_reader_room(&w->in, &at, &room), OK);
        size_t n = w->out.len - sent < room ? w->out.len - sent : room;
        memcpy(at, w->out.at + sent, n);
        frame_reader_filled(&w->in, n);
        sent += n;
    }
}

/* The one frame that was put; valid until wire_done(). */
static struct frame carry(struct wire *w)
{
    struct frame frame = { 0 };
    carry_all(w);
    assert_int_equal(frame_reader_next(&w->in, &frame, NULL), OK);
    assert_true(frame_reader_idle(&w->in));
    return frame;
}

static struct frame json_frame(const char *text)
{
    return (struct frame){ FRAME_JSON, { text, strlen(text) } };
}

/* --- orders ---------------------------------------------------------------- */

static void plain_orders_survive(void **state UNUSED)
{
    static const enum order_kind kinds[] = { ORDER_VERIFY, ORDER_CANCEL, ORDER_PAUSE,
                                             ORDER_RESUME, ORDER_PING,   ORDER_DRAIN };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct wire w;
        struct order order;
        wire_init(&w);
        assert_int_equal(order_put(&w.out, kinds[i], 123456789012), OK);
        struct frame frame = carry(&w);
        assert_int_equal(order_read(&frame, &order, NULL), OK);
        assert_int_equal(order.kind, kinds[i]);
        assert_int_equal(order.serial, 123456789012);
        order_done(&order);
        wire_done(&w);
    }
}

static void load_survives(void **state UNUSED)
{
    CLEANUP(json_drop) json_t *options = json_pack("{s:i}", "n_ctx", 4096);
    struct load load = {
        .name = "main",
        .slots = 4,
        .model_path = "/models/m.gguf",
        .cache_dir = "/var/cache",
        .avoid = { "sapphirerapids", "icelake" },
        .options = options,
    };
    struct wire w;
    struct order order;
    wire_init(&w);
    assert_int_equal(order_put_load(&w.out, &load), OK);
    struct frame frame = carry(&w);
    assert_int_equal(order_read(&frame, &order, NULL), OK);
    assert_int_equal(order.kind, ORDER_LOAD);
    assert_string_equal(order.load.name, "main");
    assert_int_equal(order.load.slots, 4);
    assert_string_equal(order.load.model_path, "/models/m.gguf");
    assert_string_equal(order.load.cache_dir, "/var/cache");
    assert_string_equal(order.load.avoid[0], "sapphirerapids");
    assert_string_equal(order.load.avoid[1], "icelake");
    assert_null(order.load.avoid[2]);
    assert_true(json_equal(order.load.options, options));
    order_done(&order);
    wire_done(&w);
}

static void load_needs_little(void **state UNUSED)
{
    CLEANUP(json_drop) json_t *options = json_object();
    struct load load = { .name = "m", .slots = 1, .options = options };
    struct wire w;
    struct order order;
    wire_init(&w);
    assert_int_equal(order_put_load(&w.out, &load), OK);
    struct frame frame = carry(&w);
    assert_int_equal(order_read(&frame, &order, NULL), OK);
    assert_null(order.load.model_path);
    assert_null(order.load.cache_dir);
    assert_null(order.load.avoid[0]);
    assert_int_equal(json_object_size(order.load.options), 0);
    order_done(&order);
    wire_done(&w);
}

static void paths_need_not_be_utf8(void **state UNUSED)
{
    CLEANUP(json_drop) json_t *options = json_object();
    struct load load = { .name = "m",
                         .slots = 1,
                         .model_path = "/m/\xFF.gguf",
                         .cache_dir = "/c/\xFF",
                         .options = options };
    struct wire w;
    struct order order;
    wire_init(&w);
    assert_int_equal(order_put_load(&w.out, &load), OK);
    struct frame frame = carry(&w);
    assert_int_equal(order_read(&frame, &order, NULL), OK);
    assert_string_equal(order.load.model_path, "/m/?.gguf"); /* for messages only */
    assert_null(order.load.cache_dir);                       /* a wrong one would be worse */
    order_done(&order);
    wire_done(&w);
}

/* Sends `g` as request 7; the caller ends the order and then the wire. */
static void carry_generate(struct wire *w, const struct generate *g, struct order *ret)
{
    struct frame frame;
    struct error error;
    wire_init(w);
    size_t said;
    assert_int_equal(order_put_generate(&w->out, 7, g, &said), OK);
    carry_all(w);
    assert_int_equal(frame_reader_next(&w->in, &frame, NULL), OK);
    if (order_read(&frame, ret, &error))
        fail_msg("%s", error.message);
    assert_int_equal(frame_reader_next(&w->in, &frame, NULL), OK);
    if (order_read_text(ret, &frame, &error))
        fail_msg("%s", error.message);
    assert_true(frame_reader_idle(&w->in));
    assert_int_equal(ret->kind, ORDER_GENERATE);
    assert_int_equal(ret->serial, 7);
}

static void generate_survives(void **state UNUSED)
{
    static const char odd[] = "\"quoted\"\\ \n \x01 \xC3\xBC";
    struct message messages[] = {
        { ROLE_SYSTEM, { "be brief", 8 } },
        { ROLE_ASSISTANT, { "", 0 } },
        { ROLE_USER, { odd, sizeof odd - 1 } },
    };
    struct generate g;
    generate_init(&g);
    g.messages = messages;
    g.n_messages = ARRAY_LEN(messages);
    g.temperature = 0.1;
    g.top_p = 1.0 / 3;
    g.top_k = INT32_MAX;
    g.max_tokens = 1;
    g.asker = (struct asker){ .uid = UINT32_MAX - 1, .program = 7 };
    g.has_seed = true;
    g.seed = UINT32_MAX;
    g.grammar = (struct slice){ "root ::= \"x\"", 12 };
    g.min_p = 0.1;
    g.repeat_penalty = 1.1;
    g.presence_penalty = -0.3;
    g.frequency_penalty = 1.0 / 3;
    struct logit_bias biases[] = { { 7, -100 }, { INT32_MAX, 0.1f } };
    g.logit_bias = biases;
    g.n_logit_bias = ARRAY_LEN(biases);
    g.stop[0] = (struct slice){ "\"\n", 2 };
    g.stop[1] = (struct slice){ "ä", 2 };
    g.n_stop = 2;

    struct wire w;
    struct order order;
    carry_generate(&w, &g, &order);
    const struct generate *got = &order.generate;
    assert_int_equal(got->n_messages, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(got->messages[i].role, messages[i].role);
        assert_int_equal(got->messages[i].content.len, messages[i].content.len);
        assert_memory_equal(got->messages[i].content.at, messages[i].content.at,
                            messages[i].content.len);
    }
    assert_true(got->temperature == 0.1 && got->top_p == 1.0 / 3);
    assert_int_equal(got->top_k, INT32_MAX);
    assert_int_equal(got->max_tokens, 1);
    assert_int_equal(got->asker.uid, UINT32_MAX - 1);
    assert_int_equal(got->asker.program, 7);
    assert_true(got->has_seed);
    assert_int_equal(got->seed, UINT32_MAX);
    assert_int_equal(got->grammar.len, 12);
    assert_memory_equal(got->grammar.at, "root ::= \"x\"", 12);
    assert_true(got->min_p == 0.1 && got->repeat_penalty == 1.1);
    assert_true(got->presence_penalty == -0.3 && got->frequency_penalty == 1.0 / 3);
    assert_int_equal(got->n_logit_bias, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct logit_bias *bias = &got->logit_bias[i];
        assert_true(bias->bias == biases[bias->token == 7 ? 0 : 1].bias);
    }
    assert_int_equal(got->n_stop, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(got->stop[i].len, g.stop[i].len);
        assert_memory_equal(got->stop[i].at, g.stop[i].at, g.stop[i].len);
    }
    order_done(&order);
    wire_done(&w);
}

static void what_was_not_asked_for_does_not_arrive(void **state UNUSED)
{
    struct message message = { ROLE_USER, { "x", 1 } };
    struct generate g;
    struct wire w;
    struct order order;
    generate_init(&g);
    g.messages = &message;
    g.n_messages = 1;
    carry_generate(&w, &g, &order);
    assert_int_equal(order.generate.asker.uid, UINT32_MAX);
    assert_int_equal(order.generate.asker.program, 0);
    assert_false(order.generate.has_seed);
    assert_int_equal(order.generate.grammar.len, 0);
    assert_true(order.generate.repeat_penalty == 1 && order.generate.min_p == 0);
    assert_int_equal(order.generate.n_stop, 0);
    assert_int_equal(order.generate.n_logit_bias, 0);
    order_done(&order);
    wire_done(&w);
}

/* What is said in an order that asks `content`; to be freed. */
static char *said_by(struct asker asker, uint64_t serial, const char *content, size_t *ret_len)
{
    struct message message = { ROLE_USER, { content, strlen(content) } };
    struct generate g;
    struct buf out;
    size_t at, len;
    generate_init(&g);
    g.messages = &message;
    g.n_messages = 1;
    g.asker = asker;
    buf_init(&out, ENGINE_FRAME_MAX);
    assert_int_equal(order_put_generate(&out, serial, &g, &at), OK);
    char *bytes = buf_steal(&out, &len), *said = malloc(len - at);
    assert_non_null(said);
    memcpy(said, bytes + at, len - at);
    free(bytes);
    *ret_len = len - at;
    return said;
}

static void the_same_is_said_whoever_asks_it(void **state UNUSED)
{
    size_t n, n_same, n_other;
    char *said = said_by((struct asker){ 1, 2 }, 7, "hi", &n);
    char *same = said_by((struct asker){ 1000, 2000000 }, 123456789, "hi", &n_same);
    char *other = said_by((struct asker){ 1, 2 }, 7, "ho", &n_other);
    assert_int_equal(n, n_same);
    assert_memory_equal(said, same, n);
    assert_int_equal(n, n_other);
    assert_memory_not_equal(said, other, n);
    free(said);
    free(same);
    free(other);
}

static void null_is_absent(void **state UNUSED)
{
    struct frame frame = json_frame(
        "{\"type\":\"generate\",\"serial\":1,\"seed\":null,\"grammar\":null,\"top_k\":null,"
        "\"messages\":[{\"role\":\"user\",\"bytes\":1}]}");
    struct order order;
    assert_int_equal(order_read(&frame, &order, NULL), OK);
    assert_false(order.generate.has_seed);
    assert_int_equal(order.generate.grammar.len, 0);
    assert_int_equal(order.generate.top_k, 64);
    order_done(&order);
}

#define GENERATE(rest) "{\"type\":\"generate\",\"serial\":1," rest "}"
#define MESSAGES       "\"messages\":[{\"role\":\"user\",\"bytes\":1}]"
#define LOAD(rest)     "{\"type\":\"load\",\"protocol\":1" rest "}"

static void orders_that_are_none_are_refused(void **state UNUSED)
{
    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        { "", "not valid JSON" },
        { "[]", "unknown message type ''" },
        { "{}", "unknown message type ''" },
        { "{\"type\":\"\"}", "unknown message type ''" },
        { "{\"type\":5}", "unknown message type ''" },
        { "{\"type\":\"dance\"}", "unknown message type 'dance'" },
        { "{\"type\":\"ready\"}", "unknown message type 'ready'" },
        { "{\"type\":\"cancel\"}", "cancel without a serial" },
        { "{\"type\":\"pause\",\"serial\":0}", "pause without a serial" },
        { "{\"type\":\"resume\",\"serial\":-1}", "serial is -1" },
        { "{\"type\":\"cancel\",\"serial\":\"1\"}", "serial must be" },
        { "{\"type\":\"generate\"," MESSAGES "}", "generate without a serial" },
        { GENERATE("\"messages\":[]"), "no messages" },
        { GENERATE("\"messages\":{}"), "no messages" },
        { GENERATE("\"messages\":[{\"role\":\"user\"}]"), "a role and the number" },
        { GENERATE("\"messages\":[{\"role\":\"user\",\"bytes\":\"5\"}]"), "bytes must be" },
        { GENERATE("\"messages\":[{\"role\":\"user\",\"bytes\":-1}]"), "bytes is -1" },
        { GENERATE("\"messages\":[{\"role\":\"x\",\"bytes\":0}]"), "a role and the number" },
        { GENERATE("\"messages\":[{\"bytes\":0}]"), "a role and the number" },
        { GENERATE("\"messages\":[5]"), "a role and the number" },
        { GENERATE("\"messages\":[{\"role\":\"user\",\"bytes\":68157440},"
                   "{\"role\":\"user\",\"bytes\":1}]"),
          "messages of more than 68157440 bytes" },
        { GENERATE(MESSAGES ",\"temperature\":2.1"), "temperature is 2.1" },
        { GENERATE(MESSAGES ",\"top_p\":-1"), "top_p is -1" },
        { GENERATE(MESSAGES ",\"top_k\":2147483648"), "top_k is 2147483648" },
        { GENERATE(MESSAGES ",\"max_tokens\":0"), "max_tokens is 0" },
        { GENERATE(MESSAGES ",\"seed\":4294967296"), "seed is 4294967296" },
        { GENERATE(MESSAGES ",\"seed\":1.5"), "seed must be" },
        { GENERATE(MESSAGES ",\"grammar\":1"), "grammar must be" },
        { GENERATE(MESSAGES ",\"min_p\":2"), "min_p is 2" },
        { GENERATE(MESSAGES ",\"stop\":[\"\"]"), "stop[0] has 0 bytes" },
        { GENERATE(MESSAGES ",\"logit_bias\":{\"1\":1,\"x\":1}"), "logit_bias has a member" },
        { LOAD(""), "no options" },
        { LOAD(",\"options\":[]"), "no options" },
        { LOAD(",\"options\":{},\"slots\":0"), "slots is 0" },
        { LOAD(",\"options\":{},\"slots\":1025"), "slots is 1025" },
        { LOAD(",\"options\":{},\"name\":1"), "name must be" },
        { LOAD(",\"options\":{},\"avoid_variants\":[1]"), "avoid_variants" },
        { "{\"type\":\"load\",\"options\":{}}", "engine protocol 0" },
        { "{\"type\":\"load\",\"protocol\":2,\"options\":{}}", "engine protocol 2" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error error = { 0 };
        struct order order;
        struct frame frame = json_frame(cases[i].text);
        if (order_read(&frame, &order, &error) == OK)
            fail_msg("%s was taken", cases[i].text);
        if (!strstr(error.message, cases[i].says))
            fail_msg("%s: %s", cases[i].text, error.message);
    }
}

static void the_text_must_be_as_long_as_announced(void **state UNUSED)
{
    struct frame frame = json_frame(GENERATE("\"messages\":[{\"role\":\"user\",\"bytes\":3},"
                                             "{\"role\":\"user\",\"bytes\":2}]"));
    static const struct frame wrong[] = {
        { FRAME_BLOB, { "abcd", 4 } },
        { FRAME_BLOB, { "abcdef", 6 } },
        { FRAME_JSON, { "abcde", 5 } },
        { FRAME_TEXT, { "abcde", 5 } },
    };
    struct order order;
    struct error error;
    assert_int_equal(order_read(&frame, &order, NULL), OK);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(order_read_text(&order, &wrong[i], &error), ERR_PROTOCOL);
        assert_non_null(strstr(error.message, "a BLOB of 5 bytes"));
    }
    assert_int_equal(order_read_text(&order, &(struct frame){ FRAME_BLOB, { "abcde", 5 } }, NULL),
                     OK);
    assert_memory_equal(order.generate.messages[0].content.at, "abc", 3);
    assert_memory_equal(order.generate.messages[1].content.at, "de", 2);
    order_done(&order);
}

static void orders_are_json_frames(void **state UNUSED)
{
    struct frame frame = json_frame("{\"type\":\"ping\"}");
    struct error error;
    struct order order;
    for (int type = 0; type < 256; type++) {
        frame.type = (uint8_t)type;
        if (type != FRAME_JSON)
            assert_int_equal(order_read(&frame, &order, &error), ERR_PROTOCOL);
    }
    assert_string_equal(error.message, "unexpected frame type 0xff");
}

/* --- events ---------------------------------------------------------------- */

/* There and back; slices in `*ret` live until wire_done(). */
static void carry_event(struct wire *w, const struct event *event, struct event *ret)
{
    struct error error;
    wire_init(w);
    assert_int_equal(event_put(&w->out, event), OK);
    struct frame frame = carry(w);
    if (event_read(&frame, ret, &error))
        fail_msg("%s", error.message);
    assert_int_equal(ret->kind, event->kind);
    assert_true(ret->serial == event->serial);
}

static void text_survives(void **state UNUSED)
{
    static const uint64_t serials[] = { 1, 127, 128, 1000000, UINT64_MAX };
    static const char *const texts[] = { "", "x", "\xC3\xBC\xF0\x9F\x98\x80\n\"" };
    for (size_t s = 0; s < ARRAY_LEN(serials); s++) {
        for (size_t t = 0; t < ARRAY_LEN(texts); t++) {
            struct wire w;
            struct event got, event = { .kind = EVENT_TEXT,
                                        .serial = serials[s],
                                        .text_kind = t % 2 ? TEXT_THINKING : TEXT_ANSWER,
                                        .text = { texts[t], strlen(texts[t]) } };
            carry_event(&w, &event, &got);
            assert_int_equal(got.text_kind, event.text_kind);
            assert_int_equal(got.text.len, strlen(texts[t]));
            assert_memory_equal(got.text.at, texts[t], got.text.len);
            wire_done(&w);
        }
    }
}

static void done_survives(void **state UNUSED)
{
    static const enum stop_reason stops[] = { STOP_END, STOP_LENGTH, STOP_CANCELLED, STOP_ERROR };
    for (size_t i = 0; i < ARRAY_LEN(stops); i++) {
        struct wire w;
        struct event got, event = { .kind = EVENT_DONE,
                                    .serial = 9,
                                    .outcome = { .stop = stops[i],
                                                 .prompt_tokens = 1000000,
                                                 .completion_tokens = 2,
                                                 .cached_tokens = 999999,
                                                 .prompt_ms = 1234.5,
                                                 .first_token_ms = 0.125,
                                                 .generate_ms = 86400000 } };
        carry_event(&w, &event, &got);
        assert_int_equal(got.outcome.stop, stops[i]);
        assert_int_equal(got.outcome.prompt_tokens, 1000000);
        assert_int_equal(got.outcome.completion_tokens, 2);
        assert_int_equal(got.outcome.cached_tokens, 999999);
        assert_true(got.outcome.prompt_ms == 1234.5 && got.outcome.first_token_ms == 0.125 &&
                    got.outcome.generate_ms == 86400000);
        wire_done(&w);
    }
}

static void error_survives(void **state UNUSED)
{
    struct wire w;
    struct event got, event = { .kind = EVENT_ERROR, .serial = 3 };
    fail(&event.error, ERR_INVALID_REQUEST, "the \"prompt\" of %d tokens", 5000);
    carry_event(&w, &event, &got);
    assert_int_equal(got.error.code, ERR_INVALID_REQUEST);
    assert_string_equal(got.error.message, "the \"prompt\" of 5000 tokens");
    wire_done(&w);
}

static void an_error_of_loading_has_no_serial(void **state UNUSED)
{
    struct wire w;
    struct event got, event = { .kind = EVENT_ERROR, .error = { ERR_NO_MEMORY, "x" } };
    carry_event(&w, &event, &got);
    assert_int_equal(got.error.code, ERR_INTERNAL); /* the name that it has on the wire */
    wire_done(&w);
}

static void digest_and_pong_survive(void **state UNUSED)
{
    struct wire w;
    struct event got, digest = { .kind = EVENT_DIGEST };
    memset(digest.digest, 'a', SHA256_HEX);
    carry_event(&w, &digest, &got);
    assert_string_equal(got.digest, digest.digest);
    wire_done(&w);

    struct event pong = { .kind = EVENT_PONG, .progress = 1234567890123, .busy = true };
    carry_event(&w, &pong, &got);
    assert_int_equal(got.progress, 1234567890123);
    assert_true(got.busy);
    wire_done(&w);
}

static void every_phase_survives(void **state UNUSED)
{
    static const char *const names[] = { "checking_local", "verify", "mmap", "kv_cache" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct wire w;
        struct event got, event = { .kind = EVENT_PHASE,
                                    .phase = { .phase = (enum phase)i,
                                               .path = "/m/\xFF.gguf",
                                               .n_ctx = 8192,
                                               .percent = 100,
                                               .cpu_variant = "haswell" } };
        assert_string_equal(phase_name((enum phase)i), names[i]);
        carry_event(&w, &event, &got);
        assert_int_equal(got.phase.phase, i);
        assert_string_equal(got.phase.path, "/m/?.gguf");
        assert_int_equal(got.phase.n_ctx, 8192);
        assert_string_equal(got.phase.cpu_variant, "haswell");
        assert_int_equal(got.phase.percent, 100);
        wire_done(&w);
    }
}

static void ready_survives(void **state UNUSED)
{
    bool *flag[8];
    struct event event = { .kind = EVENT_READY };
    struct capabilities *c = &event.capabilities;
    flag[0] = &c->v2, flag[1] = &c->vision, flag[2] = &c->audio, flag[3] = &c->tools;
    flag[4] = &c->thinking, flag[5] = &c->embed, flag[6] = &c->rerank, flag[7] = &c->grammar;
    strcpy(c->accelerator, "cpu");
    strcpy(c->device, "Xeon");
    strcpy(c->kv, "streams");
    strcpy(c->prefixes, "anywhere");
    c->threads = 8;
    c->batch_threads = 16;
    strcpy(c->cpu_variant, "icelake");
    strcpy(c->sandbox, "landlock+seccomp");
    strcpy(c->model, "Tiny \"Model\"");
    c->gpu_layers = 3;
    c->n_ctx = 4096;
    c->slots = 16;
    for (size_t i = 0; i < ARRAY_LEN(flag); i++) {
        struct wire w;
        struct event got;
        *flag[i] = true;
        carry_event(&w, &event, &got);
        assert_memory_equal(&got.capabilities, c, sizeof *c);
        *flag[i] = false;
        wire_done(&w);
    }
}

static void stats_survive(void **state UNUSED)
{
    struct event event = { .kind = EVENT_STATS, .usage = { 1, 2, 1ULL << 40, 4, 5, 6 } }, got;
    struct wire w;
    carry_event(&w, &event, &got);
    assert_memory_equal(&got.usage, &event.usage, sizeof got.usage);
    wire_done(&w);
}

static void names_that_are_too_long_are_cut_at_a_character(void **state UNUSED)
{
    char text[1000], long_name[200];
    for (size_t i = 0; i < sizeof long_name - 2; i += 2)
        memcpy(long_name + i, "\xC3\xBC", 3);
    snprintf(text, sizeof text, "{\"type\":\"ready\",\"slots\":1,\"model\":\"%s\"}", long_name);
    struct frame frame = json_frame(text);
    struct event event;
    assert_int_equal(event_read(&frame, &event, NULL), OK);
    assert_int_equal(strlen(event.capabilities.model), sizeof event.capabilities.model - 2);
    assert_int_equal(event.capabilities.model[125], (char)0xBC);
}

static void a_time_that_is_none_is_not_told(void **state UNUSED)
{
    struct buf out;
    struct event event = { .kind = EVENT_DONE,
                           .serial = 1,
                           .outcome = { .prompt_ms = 1e300, .generate_ms = 1e300 } };
    buf_init(&out, ENGINE_FRAME_MAX);
    assert_int_equal(event_put(&out, &event), ERR_INTERNAL);
    assert_int_equal(out.len, 0);
    buf_done(&out);
}

#define DIGITS "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"

static void events_that_are_none_are_refused(void **state UNUSED)
{
    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        { "{", "not valid JSON" },
        { "{}", "unknown message type" },
        { "{\"type\":\"\"}", "unknown message type" },
        { "{\"type\":\"ping\"}", "unknown message type 'ping'" },
        { "{\"type\":\"\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC"
          "\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\"}",
          "unknown message type" },
        { "{\"type\":\"digest\"}", "digest" },
        { "{\"type\":\"digest\",\"sha256\":\"" DIGITS "\"}", "digest" },
        { "{\"type\":\"digest\",\"sha256\":\"" DIGITS "0f\"}", "digest" },
        { "{\"type\":\"digest\",\"sha256\":\"" DIGITS "F\"}", "digest" },
        { "{\"type\":\"digest\",\"sha256\":\"" DIGITS "0z\"}", "digest" },
        { "{\"type\":\"phase\"}", "unknown phase ''" },
        { "{\"type\":\"phase\",\"phase\":\"lunch\"}", "unknown phase 'lunch'" },
        { "{\"type\":\"phase\",\"phase\":\"mmap\",\"n_ctx\":-1}", "n_ctx is -1" },
        { "{\"type\":\"phase\",\"phase\":\"mmap\",\"path\":1}", "path must be" },
        { "{\"type\":\"ready\",\"slots\":0}", "slots is 0" },
        { "{\"type\":\"ready\",\"slots\":1,\"tools\":1}", "tools must be" },
        { "{\"type\":\"ready\",\"slots\":1,\"gpu_layers\":-1}", "gpu_layers is -1" },
        { "{\"type\":\"ready\",\"slots\":1,\"threads\":-1}", "threads is -1" },
        { "{\"type\":\"stats\",\"context_used\":-1}", "context_used" },
        { "{\"type\":\"stats\",\"cached_tokens\":\"many\"}", "cached_tokens must be" },
        { "{\"type\":\"done\",\"stop_reason\":\"end\"}", "done without a serial" },
        { "{\"type\":\"done\",\"serial\":1}", "unknown stop reason ''" },
        { "{\"type\":\"done\",\"serial\":1,\"stop_reason\":\"bored\"}", "'bored'" },
        { "{\"type\":\"done\",\"serial\":1,\"stop_reason\":\"end\",\"prompt_tokens\":-1}",
          "prompt_tokens is -1" },
        { "{\"type\":\"done\",\"serial\":1,\"stop_reason\":\"end\",\"prompt_ms\":-1}",
          "prompt_ms is -1" },
        { "{\"type\":\"error\",\"serial\":1}", "unknown error code ''" },
        { "{\"type\":\"error\",\"serial\":1,\"code\":\"oops\"}", "unknown error code 'oops'" },
        { "{\"type\":\"error\",\"serial\":1,\"code\":\"ok\"}", "unknown error code 'ok'" },
        { "{\"type\":\"error\",\"serial\":-1,\"code\":\"internal\"}", "serial is -1" },
        { "{\"type\":\"pong\",\"busy\":\"very\"}", "busy must be" },
        { "{\"type\":\"pong\",\"progress\":-1}", "progress is -1" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error error = { 0 };
        struct event event;
        struct frame frame = json_frame(cases[i].text);
        if (event_read(&frame, &event, &error) == OK)
            fail_msg("%s was taken", cases[i].text);
        if (!strstr(error.message, cases[i].says))
            fail_msg("%s: %s", cases[i].text, error.message);
    }
}

static void text_frames_that_are_none_are_refused(void **state UNUSED)
{
    static const struct slice payloads[] = {
        { "", 0 },              /* nothing at all */
        { "\x01", 1 },          /* no kind */
        { "\x81", 1 },          /* half a serial */
        { "\x00\x00x", 3 },     /* the serial of nobody */
        { "\x01\x02x", 3 },     /* a kind that is none */
        { "\x01\x00\xFF", 3 },  /* no UTF-8 */
        { "\x01\x00x\xC3", 4 }, /* half a character */
    };
    for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
        struct frame frame = { FRAME_TEXT, payloads[i] };
        struct error error;
        struct event event;
        assert_int_equal(event_read(&frame, &event, &error), ERR_PROTOCOL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_orders_survive),
        cmocka_unit_test(load_survives),
        cmocka_unit_test(load_needs_little),
        cmocka_unit_test(paths_need_not_be_utf8),
        cmocka_unit_test(generate_survives),
        cmocka_unit_test(the_text_must_be_as_long_as_announced),
        cmocka_unit_test(what_was_not_asked_for_does_not_arrive),
        cmocka_unit_test(the_same_is_said_whoever_asks_it),
        cmocka_unit_test(null_is_absent),
        cmocka_unit_test(orders_that_are_none_are_refused),
        cmocka_unit_test(orders_are_json_frames),
        cmocka_unit_test(text_survives),
        cmocka_unit_test(done_survives),
        cmocka_unit_test(error_survives),
        cmocka_unit_test(an_error_of_loading_has_no_serial),
        cmocka_unit_test(digest_and_pong_survive),
        cmocka_unit_test(every_phase_survives),
        cmocka_unit_test(ready_survives),
        cmocka_unit_test(stats_survive),
        cmocka_unit_test(names_that_are_too_long_are_cut_at_a_character),
        cmocka_unit_test(a_time_that_is_none_is_not_told),
        cmocka_unit_test(events_that_are_none_are_refused),
        cmocka_unit_test(text_frames_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
