/*
 * test_config.c - what a configuration file may say, and what is said about it.
 */
#include "test.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "config/config.h"

static char folder[] = "/tmp/inferd-config-XXXXXX";
static char path[64];

static struct flags flags;
static struct config config;
static struct findings findings;
static struct error error;

#define HEX    "00000000000000000000000000000000000000000000000000000000000000ab"
#define MODEL  "{\"name\":\"m\",\"sha256\":\"" HEX "\"}"
#define ONE(x) "{\"backends\":[{\"kind\":\"mock\",\"name\":\"a\"" x "}]}"

static int set_up(void **state UNUSED)
{
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/c.json", folder);
    setenv("HOME", folder, 1);
    return 0;
}

static int clean_up(void **state UNUSED)
{
    unlink(path);
    return rmdir(folder);
}

static int forget(void **state UNUSED)
{
    config_done(&config);
    findings_done(&findings);
    flags_done(&flags);
    return 0;
}

static enum err read_flags(int argc, char **argv)
{
    forget(NULL);
    return flags_read(argc, argv, &flags, &error);
}

/* Read `text` as a file, with these arguments before it; they end with NULL. */
static enum err read_with(const char *text, const char *const *args)
{
    char *argv[16] = { (char *)"inferd-daemon" };
    int argc = 1;
    for (; args && args[argc - 1]; argc++)
        argv[argc] = (char *)args[argc - 1];
    assert_int_equal(read_flags(argc, argv), OK);
    if (!flags.config)
        flags.config = path;
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return config_read(&flags, &config, &findings, &error);
}

static void fine(const char *text)
{
    if (read_with(text, NULL))
        fail_msg("%s\nwas refused: %s", text, error.message);
}

/* Finding number `i` is this sentence, behind the file's name. */
static void expect_finding(size_t i, bool wrong, const char *sentence)
{
    char want[1024];
    snprintf(want, sizeof want, "%s%s:%s", wrong ? "invalid config: " : "", path, sentence);
    if (i >= findings.n)
        fail_msg("only %zu findings, not: %s", findings.n, want);
    assert_string_equal(findings.at[i].text, want);
    assert_int_equal(findings.at[i].wrong, wrong);
}

/* It is wrong, and this is all that is said; `sentence` begins with its line. */
static void wrong(const char *text, const char *sentence)
{
    assert_int_equal(read_with(text, NULL), ERR_CONFIG);
    expect_finding(0, true, sentence);
    assert_int_equal(findings.n_wrong, 1);
    assert_string_equal(error.message, findings.at[0].text);
}

static void warned(const char *text, const char *sentence)
{
    fine(text);
    expect_finding(0, false, sentence);
    assert_int_equal(findings.n, 1);
}

/* --- values ----------------------------------------------------------------- */

static void what_a_file_does_not_say_has_its_default(void **state UNUSED)
{
    fine(ONE(""));
    assert_int_equal(findings.n, 0);
    assert_int_equal(config.queue_depth, 10);
    assert_int_equal(config.connections_per_caller, 1024);
    assert_int_equal(config.active_permits, 4);
    assert_int_equal(config.ready_timeout_secs, 30);
    assert_int_equal(config.drain_timeout_secs, 8);
    assert_int_equal(config.write_timeout_secs, 60);
    assert_int_equal(config.read_timeout_secs, 60);
    assert_true(config.auto_pull);
    assert_null(config.models_home);
    assert_int_equal(config.n_backends, 1);
    assert_int_equal(config.backends[0].slots, 4);
    assert_false(config.builtin);
}

static void what_it_says_counts(void **state UNUSED)
{
    fine("{\"active_permits\":3,\"queue_depth\":7,\"auto_pull\":false,\"models_home\":\"~/m\","
         "\"ready_timeout_secs\":5,\"connections_per_caller\":9,\"group\":\"g\",\"log\":{\"level\":"
         "\"debug\",\"dir\":\"/l\"},"
         "\"backends\":[{\"kind\":\"mock\",\"name\":\"a\"},"
         "{\"kind\":\"mock\",\"name\":\"b\",\"slots\":9}]}");
    char home[64];
    snprintf(home, sizeof home, "%s/m", folder);
    assert_string_equal(config.models_home, home);
    assert_int_equal(config.queue_depth, 7);
    assert_int_equal(config.ready_timeout_secs, 5);
    assert_int_equal(config.connections_per_caller, 9);
    assert_string_equal(config.group, "g");
    assert_string_equal(config.log_level, "debug");
    assert_string_equal(config.log_dir, "/l");
    assert_false(config.auto_pull);
    assert_int_equal(config.backends[0].slots, 3);
    assert_int_equal(config.backends[1].slots, 9);
}

static void null_is_as_good_as_absent(void **state UNUSED)
{
    fine("{\"models_home\":null,\"model\":null,\"queue_depth\":null,\"listen\":null,"
         "\"backends\":[{\"kind\":\"mock\",\"name\":\"a\",\"slots\":null}]}");
    assert_int_equal(config.queue_depth, 10);
    assert_int_equal(config.backends[0].slots, 4);
}

static void a_flag_goes_before_the_file(void **state UNUSED)
{
    const char *const args[] = { "--queue-depth", "2", "--group", "wheel", NULL };
    assert_int_equal(read_with("{\"queue_depth\":5,\"group\":\"g\","
                               "\"backends\":[{\"kind\":\"mock\","
                               "\"name\":\"a\"}]}",
                               args),
                     OK);
    assert_int_equal(config.queue_depth, 2);
    assert_string_equal(config.group, "wheel");
}

static void a_model_alone_is_one_backend(void **state UNUSED)
{
    const char *const args[] = { "--n-gpu-layers", "-7", NULL };
    assert_int_equal(read_with("{\"n_ctx\":4096,\"model\":" MODEL "}", args), OK);
    assert_int_equal(config.n_backends, 1);
    const struct backend_config *b = &config.backends[0];
    assert_string_equal(b->name, "m");
    assert_string_equal(b->kind->name, "llamacpp");
    assert_int_equal(json_integer_value(json_object_get(b->options, "n_ctx")), 4096);
    /* Any negative number is all of them. */
    assert_int_equal(json_integer_value(json_object_get(b->options, "n_gpu_layers")), -1);
}

static void sockets_can_be_moved_and_turned_off(void **state UNUSED)
{
    fine("{\"listen\":{\"generate\":\"/s/g\"},\"backends\":[{\"kind\":\"mock\",\"name\":\"a\"}]}");
    assert_string_equal(config.infer_path, "/s/g");
    fine("{\"listen\":{\"generate\":false},\"backends\":[{\"kind\":\"mock\",\"name\":\"a\"}]}");
    assert_null(config.infer_path);
    const char *const args[] = { "--uds", "/f/g", NULL };
    assert_int_equal(read_with("{\"listen\":{\"generate\":false},"
                               "\"backends\":[{\"kind\":\"mock\",\"name\":\"a\"}]}",
                               args),
                     OK);
    assert_string_equal(config.infer_path, "/f/g");
}

/* --- mistakes --------------------------------------------------------------- */

static void a_mistake_is_told_with_its_line(void **state UNUSED)
{
    wrong("{\n \"backends\": [\n  {\"kind\":\"mock\", \"name\":\"a\"},\n"
          "  {\"kind\":\"llamacpp\", \"name\":\"b\",\n   \"n_ctx\": 0, \"model\": " MODEL "}]}",
          "5: backends[\"b\"].n_ctx must be > 0 (got 0)");
    wrong("{\"backends\":[{\"kind\":\"mock\",\n\"name\":\"a\"},{\"kind\":\"mock\",\n\"name\":\"a\"}"
          "]}",
          "3: duplicate backends[].name \"a\" — names must be unique");
    wrong("{\"queue_depth\":\n-1}", "1: queue_depth must be from 0 to 1000000 (got -1)");
}

static void lines_are_found_behind_anything(void **state UNUSED)
{
    wrong("{\"x-a\":{\"n_ctx\":\"}\\\"]\\n\",\"b\":[[1,{}],\"\\u005c\"]},\n\"x-b\":-1.5e3,\"x-c\":"
          "true,\n"
          "\"\\u006e_ctx\":0}",
          "3: n_ctx must be > 0 (got 0)");
}

static void every_mistake_is_told(void **state UNUSED)
{
    assert_int_equal(
        read_with("{\"queue_depth\":\"x\",\n\"auto_pull\":1,\n\"backends\":[\n"
                  "{\"kind\":\"mock\",\"name\":\"\"},\n{\"kind\":\"moc\",\"name\":\"b\"},\n7]}",
                  NULL),
        ERR_CONFIG);
    assert_int_equal(findings.n_wrong, 5);
    expect_finding(0, true, "1: queue_depth must be a whole number");
    expect_finding(1, true, "2: auto_pull must be true or false");
    expect_finding(2, true, "4: backends[].name must not be empty");
    expect_finding(3, true, "5: backends[\"b\"].kind is unknown: \"moc\"; did you mean \"mock\"?");
    expect_finding(4, true, "6: backends[2] must be an object");
    assert_non_null(strstr(error.message, "(and 4 more mistakes)"));
}

static void the_nearest_known_key_is_suggested(void **state UNUSED)
{
    wrong("{\"bakends\":[]}", "1: unknown key \"bakends\"; did you mean \"backends\"?");
    wrong(ONE(",\"slotz\":2"),
          "1: unknown key \"slotz\" in backends[\"a\"]; did you mean \"slots\"?");
    wrong("{\"model\":{\"name\":\"m\",\"sha265\":1,\"sha256\":\"" HEX "\"}}",
          "1: unknown key \"sha265\" in model; did you mean \"sha256\"?");
    wrong("{\"listen\":{\"generat\":true}}",
          "1: unknown key \"generat\" in listen; did you mean \"generate\"?");
    wrong("{\"entirely_else\":1}", "1: unknown key \"entirely_else\"");
    wrong("{\"backends\":[{\"kind\":\"oracle\",\"name\":\"o\"}]}",
          "1: backends[\"o\"].kind is unknown: \"oracle\"; there are llamacpp, openai-compat, "
          "anthropic, bedrock-invoke and mock");
}

static void notes_of_the_operator_are_nobodys_business(void **state UNUSED)
{
    fine("{\"x-why\":{\"a\":[1]},\"backends\":[{\"kind\":\"mock\",\"name\":\"a\",\"x-\":1}]}");
    assert_int_equal(findings.n, 0);
}

static void what_the_reference_refuses_we_refuse_in_its_words(void **state UNUSED)
{
    wrong("{\"model\":" MODEL ",\"backends\":[{\"kind\":\"mock\",\"name\":\"a\"}]}",
          "1: `model` and `backends` are mutually exclusive — pick one shape, not both");
    wrong("{\"backends\":[]}", "1: backends must have at least one entry");
    wrong("{\"n_ctx\":0,\"model\":" MODEL "}", "1: n_ctx must be > 0 (got 0)");
    wrong("{\"model\":{\"name\":\"\",\"sha256\":\"" HEX "\"}}", "1: model.name must not be empty");
    wrong("{\"model\":{\"name\":\"m\",\"sha256\":\"AB\"}}",
          "1: model.sha256 must be 64 lowercase hex chars, not \"AB\"");
    wrong("{\"model\":{\"name\":\"m\",\"sha256\":\"" HEX "\",\"source_url\":\"http://x\"}}",
          "1: model.source_url must be https:// (got \"http://x\")");
    wrong("{\"listen\":{\"tcp\":\"\"}}", "1: listen.tcp must not be empty when set");
    wrong("{\"listen\":{\"tcp_v2\":\"\"}}", "1: listen.tcp_v2 must not be empty when set");
    wrong("{\"listen\":{\"api_key_env\":\"\"}}",
          "1: listen.api_key_env must not be empty when set");
    wrong("{\"backends\":[{\"kind\":\"openai-compat\",\"name\":\"o\",\"base_url\":\"ftp://x\","
          "\"model\":\"m\"}]}",
          "1: backends[\"o\"].base_url must be http:// or https:// (got \"ftp://x\")");
    wrong("{\"backends\":[{\"kind\":\"openai-compat\",\"name\":\"o\",\"base_url\":\"http://x\","
          "\"model\":\" \"}]}",
          "1: backends[\"o\"].model must not be empty");
    wrong("{\"backends\":[{\"kind\":\"bedrock-invoke\",\"name\":\"o\",\"region\":\"r\"}]}",
          "1: backends[\"o\"].model_id must not be empty");
    wrong("{\"backends\":[{\"kind\":\"bedrock-invoke\",\"name\":\"o\",\"region\":\"r\","
          "\"model_id\":\"m\",\"timeout_secs\":0}]}",
          "1: backends[\"o\"].timeout_secs must be > 0 (got 0)");
}

static void types_and_limits_are_checked_before_anything_is_started(void **state UNUSED)
{
    wrong("[]", "1: the file must hold one object");
    wrong("{\"backends\":{}}", "1: backends must be a list");
    wrong("{\"log\":1}", "1: log must be an object");
    wrong("{\"group\":1}", "1: group must be a string");
    wrong("{\"listen\":{\"generate\":1}}",
          "1: listen.generate must be true, false or the path of a socket");
    wrong("{\"listen\":{\"generate\":\"x.sock\"}}",
          "1: listen.generate must be an absolute path (got \"x.sock\")");
    wrong("{\"allow_uids\":[-1]}", "1: allow_uids must be a list of numbers from 0 to 4294967294");
    wrong("{\"model_autoselect\":\"yes\"}",
          "1: model_autoselect must be \"off\" or \"auto\" (got \"yes\")");
    wrong("{\"backends\":[{\"kind\":\"llamacpp\",\"name\":\"l\"}]}",
          "1: backends[\"l\"] needs a model, or path and sha256");
    wrong("{\"backends\":[{\"kind\":\"llamacpp\",\"name\":\"l\",\"sha256\":\"" HEX "\","
          "\"path\":\"/x\",\"model\":" MODEL "}]}",
          "1: backends[\"l\"] has a model and a path: it can be only one");
    wrong("{\"backends\":[{\"name\":\"l\"}]}",
          "1: backends[\"l\"] has no kind (\"llamacpp\", for example)");
}

static void what_is_no_json_is_told_with_its_line(void **state UNUSED)
{
    assert_int_equal(read_with("{\n\"a\": oops\n}", NULL), ERR_CONFIG);
    assert_non_null(strstr(error.message, "line 2"));
    assert_non_null(strstr(error.message, path));
}

static void keys_without_effect_are_known_and_warned_about(void **state UNUSED)
{
    warned("{\"admin_addr\":\"/x\",\"backends\":[{\"kind\":\"mock\",\"name\":\"a\"}]}",
           "1: admin_addr has no effect: the option --admin-addr names the admin socket");
    warned("{\"backends\":[{\"kind\":\"llamacpp\",\"name\":\"l\",\n\"embed\":true,\"rerank\":false,"
           "\"model\":" MODEL "}]}",
           "2: backends[\"l\"].embed has no effect: this release makes no embeddings");
    fine("{\"model_autoselect\":\"off\",\"backends\":[{\"kind\":\"mock\",\"name\":\"a\"}]}");
    assert_int_equal(findings.n, 0);
}

/* Whoever reaches a port of this machine could be anybody: there is a key, or an explicit
 * word that there is none. */
static void tcp_is_loopback_and_has_a_key(void **state UNUSED)
{
#define BACKENDS "\"backends\":[{\"kind\":\"mock\",\"name\":\"a\"}]}"
    assert_int_equal(read_with("{\"listen\":{\"tcp\":\"127.0.0.1:1\"}," BACKENDS, NULL),
                     ERR_CONFIG);
    assert_non_null(strstr(error.message, "needs a key"));
    assert_int_equal(
        read_with("{\"listen\":{\"tcp\":\"10.0.0.1:1\",\"tcp_without_key\":true}," BACKENDS, NULL),
        ERR_CONFIG);
    assert_non_null(strstr(error.message, "other machines"));
    fine("{\"listen\":{\"tcp\":\"[::1]:1\",\"tcp_without_key\":true}," BACKENDS);
}

/* A wrong file must not cost more than a right one: what is said of it is bounded. */
static void a_thousand_mistakes_are_not_all_told(void **state UNUSED)
{
    char text[32 * 1024] = "{";
    for (int i = 0; i < 1000; i++)
        sprintf(text + strlen(text), "\"zz%d\":1,", i);
    strcat(text, "\"zz\":1}");
    assert_int_equal(read_with(text, NULL), ERR_CONFIG);
    assert_int_equal(findings.n, FINDINGS_MAX);
    assert_int_equal(findings.n_wrong, 1001);
}

/* --- flags ------------------------------------------------------------------ */

static void a_key_does_not_stay_on_the_command_line(void **state UNUSED)
{
    char key[] = "sesame-sesame", option[] = "--api-key";
    char *argv[] = { (char *)"inferd-daemon", option, key };
    assert_int_equal(read_flags(3, argv), OK);
    assert_string_equal(flags.api_key, "sesame-sesame");
    assert_string_equal(flags.secret_shown, "api-key");
    for (size_t i = 0; i < sizeof key; i++)
        assert_int_equal(key[i], 0);
    assert_null(getenv("INFERD_API_KEY"));
}

static void a_key_does_not_stay_in_the_environment(void **state UNUSED)
{
    char *argv[] = { (char *)"inferd-daemon" };
    setenv("INFERD_API_KEY", "sesame-sesame", 1);
    char *value = getenv("INFERD_API_KEY");
    assert_int_equal(read_flags(1, argv), OK);
    assert_string_equal(flags.api_key, "sesame-sesame");
    assert_null(getenv("INFERD_API_KEY"));
    for (size_t i = 0; i < strlen("sesame-sesame"); i++)
        assert_int_equal(value[i], 0); /* what /proc/PID/environ would show */
}

/* A configuration is read more than once. */
static void a_key_of_another_name_is_kept(void **state UNUSED)
{
    setenv("OTHER_KEY", "sesame-sesame", 1);
    fine("{\"listen\":{\"api_key_env\":\"OTHER_KEY\"},"
         "\"backends\":[{\"kind\":\"mock\",\"name\":\"a\"}]}");
    assert_string_equal(config.api_key, "sesame-sesame");
    assert_null(getenv("OTHER_KEY"));
    config_done(&config);
    assert_int_equal(config_read(&flags, &config, &findings, &error), OK);
    assert_string_equal(config.api_key, "sesame-sesame");
    /* One that was given another value has that. */
    config_done(&config);
    setenv("OTHER_KEY", "simsim", 1);
    assert_int_equal(config_read(&flags, &config, &findings, &error), OK);
    assert_string_equal(config.api_key, "simsim");
}

static bool is_said(const char *sentence)
{
    for (size_t i = 0; i < findings.n; i++)
        if (strstr(findings.at[i].text, sentence))
            return true;
    return false;
}

static void options_without_effect_are_warned_about(void **state UNUSED)
{
    const char *const args[] = { "--v2",
                                 "--embed-addr=/e",
                                 "--n-ctx=100",
                                 "--model-path=/m",
                                 "--openai-model=m",
                                 "--queue-depth=3",
                                 "--tcp-without-key",
                                 NULL };
    assert_int_equal(read_with(ONE(""), args), OK);
    assert_true(is_said("--v2 (INFERD_V2) has no effect: this release does not serve that wire"));
    assert_true(is_said("--embed-addr (INFERD_EMBED_ADDR) has no effect"));
    assert_true(is_said("--n-ctx (INFERD_N_CTX) has no effect: it is about the backend that"));
    assert_true(is_said("--openai-model (INFERD_OPENAI_MODEL) has no effect"));
    assert_true(is_said("--model-path (INFERD_MODEL_PATH) has no effect"));
    assert_true(is_said("--tcp-without-key (INFERD_TCP_WITHOUT_KEY) has no effect: nothing is "
                        "served by TCP"));
    assert_int_equal(findings.n, 6);
    assert_int_equal(findings.n_wrong, 0);
}

static void options_about_the_only_backend_have_one(void **state UNUSED)
{
    const char *const args[] = { "--n-ctx=100", "--llamacpp-embed", NULL };
    assert_int_equal(read_with("{\"model\":" MODEL "}", args), OK);
    assert_int_equal(findings.n, 1);
    assert_true(is_said("--llamacpp-embed (INFERD_LLAMACPP_EMBED) has no effect: this release "
                        "makes no embeddings"));
}

static void switches_have_words_in_the_environment(void **state UNUSED)
{
    char *argv[] = { (char *)"inferd-daemon" };
    setenv("INFERD_EMBED", "true", 1);
    assert_int_equal(read_flags(1, argv), OK);
    assert_int_equal(flags.embed_on, 1);
    setenv("INFERD_EMBED", "1", 1);
    assert_int_equal(read_flags(1, argv), ERR_INVALID_REQUEST);
    assert_string_equal(error.message, "INFERD_EMBED must be true or false, not '1'");
    unsetenv("INFERD_EMBED");
}

static void a_backend_from_flags_is_as_if_a_file_said_so(void **state UNUSED)
{
    char *argv[] = { (char *)"inferd-daemon",
                     (char *)"--backend=openai-compat",
                     (char *)"--openai-base-url=https://h/v1",
                     (char *)"--openai-model=gpt",
                     (char *)"--openai-timeout-secs=9",
                     (char *)"--n-ctx=100" };
    assert_int_equal(read_flags(6, argv), OK);
    assert_int_equal(config_read(&flags, &config, &findings, &error), OK);
    const json_t *o = config.backends[0].options;
    assert_string_equal(config.backends[0].name, "openai-compat");
    assert_string_equal(json_string_value(json_object_get(o, "base_url")), "https://h/v1");
    assert_int_equal(json_integer_value(json_object_get(o, "timeout_secs")), 9);
    assert_null(json_object_get(o, "n_ctx"));
}

static void who_may_connect_is_a_list_of_numbers(void **state UNUSED)
{
    static const char *const bad[] = { "x", "1,", ",1", "-1", "1;2", "4294967295", "" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const char *const args[] = { "--allow-uid", bad[i], NULL };
        assert_int_equal(read_with(ONE(""), args), ERR_INVALID_REQUEST);
    }
    const char *const args[] = { "--allow-uid", "0,1000", NULL };
    assert_int_equal(read_with(ONE(""), args), OK);
    assert_int_equal(config.allow_uids.n, 2);
    assert_int_equal(config.allow_uids.at[1], 1000);
}

/* --- changes ---------------------------------------------------------------- */

static void what_takes_a_restart_is_named_and_kept(void **state UNUSED)
{
    struct config running = { .infer_path = strdup("/a"), .group = NULL, .queue_depth = 1 };
    struct config wanted = { .infer_path = strdup("/b"), .group = strdup("g"), .queue_depth = 2 };
    size_t at = 0;
    assert_string_equal(config_fixed_change(&running, &wanted, &at), "listen.generate");
    assert_string_equal(config_fixed_change(&running, &wanted, &at), "group");
    assert_null(config_fixed_change(&running, &wanted, &at));
    config_keep_fixed(&wanted, &running);
    assert_string_equal(wanted.infer_path, "/a");
    assert_null(wanted.group);
    assert_int_equal(wanted.queue_depth, 2);
    config_done(&running);
    config_done(&wanted);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, forget)
    const struct CMUnitTest tests[] = {
        TEST(what_a_file_does_not_say_has_its_default),
        TEST(what_it_says_counts),
        TEST(null_is_as_good_as_absent),
        TEST(a_flag_goes_before_the_file),
        TEST(a_model_alone_is_one_backend),
        TEST(sockets_can_be_moved_and_turned_off),
        TEST(a_mistake_is_told_with_its_line),
        TEST(lines_are_found_behind_anything),
        TEST(every_mistake_is_told),
        TEST(the_nearest_known_key_is_suggested),
        TEST(notes_of_the_operator_are_nobodys_business),
        TEST(what_the_reference_refuses_we_refuse_in_its_words),
        TEST(types_and_limits_are_checked_before_anything_is_started),
        TEST(what_is_no_json_is_told_with_its_line),
        TEST(keys_without_effect_are_known_and_warned_about),
        TEST(tcp_is_loopback_and_has_a_key),
        TEST(a_thousand_mistakes_are_not_all_told),
        TEST(a_key_does_not_stay_on_the_command_line),
        TEST(a_key_does_not_stay_in_the_environment),
        TEST(a_key_of_another_name_is_kept),
        TEST(options_without_effect_are_warned_about),
        TEST(options_about_the_only_backend_have_one),
        TEST(switches_have_words_in_the_environment),
        TEST(a_backend_from_flags_is_as_if_a_file_said_so),
        TEST(who_may_connect_is_a_list_of_numbers),
        TEST(what_takes_a_restart_is_named_and_kept),
    };
    return cmocka_run_group_tests(tests, set_up, clean_up);
}
