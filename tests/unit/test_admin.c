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
    news = (struct phase_news){ .phase = PHASE_MMAP, .path = "/m/\"é\".gguf" };
    expect_status(LIFE_LOADING_MODEL, &news,
                  "{\"id\":\"admin\",\"path\":\"/m/\\\"é\\\".gguf\",\"phase\":\"mmap\","
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
        cmocka_unit_test(what_does_not_fit_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
