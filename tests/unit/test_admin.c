/*
 * What admin.h promises, to the byte: its clients sort nothing.
 */
#include "wire/admin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* cmocka has a macro of the name of our fail(), so it comes last. */
#include <cmocka.h>
#undef fail

enum { ROOMY = 64 * 1024 };

static void expect(struct buf *out, const char *want)
{
    assert_int_equal(buf_append(out, "", 1), OK);
    assert_string_equal(out->at, want);
    buf_done(out);
}

static void expect_status(enum lifecycle life, const struct phase_news *phase, const char *want)
{
    struct buf out;
    buf_init(&out, ROOMY);
    assert_int_equal(admin_put_status(&out, life, phase), OK);
    expect(&out, want);
}

static void expect_capabilities(const char *label, const struct capabilities *c, const char *want)
{
    struct buf out;
    buf_init(&out, ROOMY);
    assert_int_equal(admin_put_capabilities(&out, label, c), OK);
    expect(&out, want);
}

static void every_state_of_the_daemon_has_its_name(void **state UNUSED)
{
    static const char *const names[] = {
        [LIFE_STARTING] = "starting", [LIFE_LOADING_MODEL] = "loading_model",
        [LIFE_READY] = "ready",       [LIFE_RESTARTING] = "restarting",
        [LIFE_FAILED] = "failed",     [LIFE_DRAINING] = "draining",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char want[100];
        snprintf(want, sizeof want, "{\"id\":\"admin\",\"status\":\"%s\",\"type\":\"status\"}\n",
                 names[i]);
        assert_string_equal(lifecycle_name((enum lifecycle)i), names[i]);
        expect_status((enum lifecycle)i, NULL, want);
    }
}

static void a_phase_says_what_it_is_about(void **state UNUSED)
{
    struct phase_news news = { .phase = PHASE_CHECKING_LOCAL, .path = "(mock)" };
    expect_status(LIFE_LOADING_MODEL, &news,
                  "{\"id\":\"admin\",\"path\":\"(mock)\",\"phase\":\"checking_local\","
                  "\"status\":\"loading_model\",\"type\":\"status\"}\n");
    news = (struct phase_news){ .phase = PHASE_MMAP, .path = "/m/\"é\".gguf", .percent = 40 };
    expect_status(
        LIFE_LOADING_MODEL, &news,
        "{\"id\":\"admin\",\"path\":\"/m/\\\"é\\\".gguf\",\"percent\":40,\"phase\":\"mmap\","
        "\"status\":\"loading_model\",\"type\":\"status\"}\n");
    news = (struct phase_news){ .phase = PHASE_KV_CACHE, .n_ctx = 8192 };
    expect_status(LIFE_RESTARTING, &news,
                  "{\"id\":\"admin\",\"n_ctx\":8192,\"phase\":\"kv_cache\","
                  "\"status\":\"restarting\",\"type\":\"status\"}\n");
}

static void what_a_backend_has_not_is_left_out(void **state UNUSED)
{
    static const struct capabilities mock = { .accelerator = "cpu", .slots = 1 };
    expect_capabilities("mock", &mock,
                        "{\"accelerator\":\"cpu\",\"audio\":false,\"backend\":\"mock\","
                        "\"embed\":false,\"gpu_layers\":0,\"id\":\"admin\",\"slots\":1,"
                        "\"status\":\"capabilities\",\"thinking\":false,\"tools\":false,"
                        "\"type\":\"status\",\"v2\":false,\"vision\":false,\"wire_version\":1}\n");
}

static void what_it_has_is_said(void **state UNUSED)
{
    static const struct capabilities all = {
        .v2 = true,
        .vision = true,
        .audio = true,
        .tools = true,
        .thinking = true,
        .embed = true,
        .rerank = true,
        .accelerator = "cuda",
        .gpu_layers = 99,
        .cpu_variant = "haswell",
        .model = "Tiny",
        .n_ctx = UINT32_MAX,
        .slots = 4,
    };
    expect_capabilities(
        "tiny \"1\"", &all,
        "{\"accelerator\":\"cuda\",\"audio\":true,\"backend\":\"tiny \\\"1\\\"\","
        "\"cpu_variant\":\"haswell\",\"embed\":true,\"gpu_layers\":99,\"id\":\"admin\","
        "\"model\":\"Tiny\",\"n_ctx\":4294967295,\"rerank\":true,\"slots\":4,"
        "\"status\":\"capabilities\",\"thinking\":true,\"tools\":true,\"type\":\"status\","
        "\"v2\":true,\"vision\":true,\"wire_version\":1}\n");
}

static void one_ability_is_not_mistaken_for_another(void **state UNUSED)
{
    static const struct {
        struct capabilities c;
        const char *want;
    } cases[] = {
        { { .v2 = true }, "\"v2\":true" },         { { .vision = true }, "\"vision\":true" },
        { { .audio = true }, "\"audio\":true" },   { { .tools = true }, "\"tools\":true" },
        { { .embed = true }, "\"embed\":true" },   { { .thinking = true }, "\"thinking\":true" },
        { { .rerank = true }, "\"rerank\":true" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;
        buf_init(&out, ROOMY);
        assert_int_equal(admin_put_capabilities(&out, "a", &cases[i].c), OK);
        assert_int_equal(buf_append(&out, "", 1), OK);
        const char *yes = strstr(out.at, "true");
        assert_non_null(strstr(out.at, cases[i].want));
        assert_null(strstr(yes + 1, "true"));
        buf_done(&out);
    }
}

/* --- orders ----------------------------------------------------------------- */

/* The line is no order: this is why, and this the op that the reply carries. */
static void expect_no_order(const char *line, const char *op, const char *why)
{
    struct admin_order order;
    struct error error;
    char got[ADMIN_OP_MAX + 1] = "unset";
    assert_int_equal(admin_read_order(line, strlen(line), &order, got, &error),
                     ERR_INVALID_REQUEST);
    assert_string_equal(got, op);
    assert_string_equal(error.message, why);
}

static struct admin_order read_order(const char *line)
{
    struct admin_order order;
    struct error error;
    char op[ADMIN_OP_MAX + 1];
    assert_int_equal(admin_read_order(line, strlen(line), &order, op, &error), OK);
    assert_string_equal(op, admin_op_name(order.op));
    return order;
}

static void orders_are_read(void **state UNUSED)
{
    assert_int_equal(read_order("{\"op\":\"stats\"}").op, ADMIN_STATS);
    assert_int_equal(read_order("{\"op\":\"reload\"}").op, ADMIN_RELOAD);
    assert_int_equal(read_order("{\"op\":\"drain\"}").op, ADMIN_DRAIN);
    struct admin_order order = read_order(" {\"serial\":18, \"op\":\"cancel\"}\r");
    assert_int_equal(order.op, ADMIN_CANCEL);
    assert_int_equal(order.serial, 18);
    order = read_order("{\"op\":\"unload\",\"backend\":\"é\"}");
    assert_int_equal(order.op, ADMIN_UNLOAD);
    assert_string_equal(order.backend, "é");
    assert_int_equal(read_order("{\"op\":\"load\",\"backend\":\"a\"}").op, ADMIN_LOAD);
}

static void what_is_no_order_is_explained(void **state UNUSED)
{
    expect_no_order("[]", "", "an order is an object, as {\"op\":\"stats\"}");
    expect_no_order("{}", "", "the order has no op");
    expect_no_order("{\"op\":7}", "", "op must be a string, not a whole number");
    expect_no_order("{\"op\":\"explode-everything\"}", "explode-everythi",
                    "unknown op \"explode-everything\"; there are stats, reload, drain, cancel, "
                    "unload and load");
    expect_no_order("{\"op\":\"reload\",\"backend\":\"a\"}", "reload",
                    "reload has no member \"backend\"");
    expect_no_order("{\"op\":\"cancel\"}", "cancel", "cancel needs the \"serial\" of a request");
    expect_no_order("{\"op\":\"cancel\",\"serial\":-1}", "cancel",
                    "serial is -1; it must be from 0 to 9223372036854775807");
    expect_no_order("{\"op\":\"cancel\",\"serial\":\"1\"}", "cancel",
                    "serial must be a whole number, not a string");
    expect_no_order("{\"op\":\"load\",\"backend\":null}", "load", "load needs a \"backend\"");
}

static void a_name_that_no_backend_has_room_for_is_no_order(void **state UNUSED)
{
    char line[1024], name[300];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    snprintf(line, sizeof line, "{\"op\":\"load\",\"backend\":\"%s\"}", name);
    expect_no_order(line, "load", "no backend has a name of 299 bytes");
}

static void nesting_is_bounded(void **state UNUSED)
{
    char line[16 * 1024], op[ADMIN_OP_MAX + 1];
    struct admin_order order;
    struct error error;
    memset(line, '[', sizeof line);
    assert_int_equal(admin_read_order(line, sizeof line, &order, op, &error), ERR_INVALID_REQUEST);
}

static void replies_say_what_came_of_it(void **state UNUSED)
{
    struct buf out, notes;
    buf_init(&out, ROOMY);
    buf_init(&notes, ROOMY);
    assert_int_equal(admin_put_done(&out, "drain", &notes), OK);
    expect(&out, "{\"id\":\"admin\",\"ok\":true,\"op\":\"drain\",\"type\":\"reply\"}\n");
    assert_int_equal(buf_append_str(&notes, "one\ntwo \"2\"\n"), OK);
    assert_int_equal(admin_put_done(&out, "reload", &notes), OK);
    expect(&out, "{\"id\":\"admin\",\"notes\":[\"one\",\"two \\\"2\\\"\"],\"ok\":true,"
                 "\"op\":\"reload\",\"type\":\"reply\"}\n");
    buf_done(&notes);
    struct error error;
    fail(&error, ERR_NOT_FOUND, "no");
    assert_int_equal(admin_put_refusal(&out, "load", &error), OK);
    expect(&out, "{\"error\":\"no\",\"id\":\"admin\",\"ok\":false,\"op\":\"load\","
                 "\"type\":\"reply\"}\n");
}

static void what_does_not_fit_leaves_nothing_behind(void **state UNUSED)
{
    static const struct capabilities c = { .slots = 1 };
    struct buf tight;
    buf_init(&tight, 20);
    assert_int_equal(admin_put_status(&tight, LIFE_READY, NULL), ERR_FRAME_TOO_LARGE);
    assert_int_equal(admin_put_capabilities(&tight, "a", &c), ERR_FRAME_TOO_LARGE);
    assert_int_equal(tight.len, 0);
    buf_done(&tight);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_of_the_daemon_has_its_name),
        cmocka_unit_test(a_phase_says_what_it_is_about),
        cmocka_unit_test(what_a_backend_has_not_is_left_out),
        cmocka_unit_test(what_it_has_is_said),
        cmocka_unit_test(one_ability_is_not_mistaken_for_another),
        cmocka_unit_test(orders_are_read),
        cmocka_unit_test(what_is_no_order_is_explained),
        cmocka_unit_test(a_name_that_no_backend_has_room_for_is_no_order),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(replies_say_what_came_of_it),
        cmocka_unit_test(what_does_not_fit_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
