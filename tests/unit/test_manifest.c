/*
 * test_manifest.c - manifests, as we write them and as others do.
 */
#include "store_rig.h"

#include "store/manifest.h"

/* As the reference writes it. */
static const char foreign[] = "{\n"
                              "  \"schema_version\": 1,\n"
                              "  \"name\": \"gemma-4-e4b\",\n"
                              "  \"format\": \"gguf\",\n"
                              "  \"blob\": \"sha256:" ABC "\",\n"
                              "  \"size_bytes\": 5126304928,\n"
                              "  \"license\": \"gemma\",\n"
                              "  \"source\": {\n"
                              "    \"registry\": \"huggingface.co\",\n"
                              "    \"repo\": \"\",\n"
                              "    \"revision\": \"\",\n"
                              "    \"filename\": \"gemma-4-E4B-it-UD-Q4_K_XL.gguf\"\n"
                              "  },\n"
                              "  \"produced_by\": \"inferd/0.7.2\",\n"
                              "  \"produced_at\": \"2026-07-20T10:11:12Z\"\n"
                              "}\n";

static int begin_write(void **state)
{
    rig_begin(state);
    FINE(store_begin_write(&rig, why));
    return 0;
}

static void what_the_reference_writes_is_read(void **state UNUSED)
{
    make_file("store/manifests/gemma-4-e4b.json", foreign);
    CLEANUP(manifest_done) struct manifest m = { 0 };
    FINE(manifest_read(&rig, "gemma-4-e4b", &m, why));
    assert_string_equal(m.name, "gemma-4-e4b");
    assert_string_equal(m.blob.hex, ABC);
    assert_true(m.size_bytes == 5126304928);
    assert_string_equal(m.format, "gguf");
    assert_string_equal(m.license, "gemma");
    assert_string_equal(m.registry, "huggingface.co");
    assert_string_equal(m.repo, "");
    assert_string_equal(m.revision, "");
    assert_string_equal(m.filename, "gemma-4-E4B-it-UD-Q4_K_XL.gguf");
    assert_string_equal(m.produced_by, "inferd/0.7.2");
    assert_string_equal(m.produced_at, "2026-07-20T10:11:12Z");
}

static void what_we_write_is_what_the_reference_writes(void **state UNUSED)
{
    struct manifest m = {
        .name = "gemma-4-e4b",
        .blob = rig_digest(ABC),
        .size_bytes = 5126304928,
        .license = "gemma",
        .registry = "huggingface.co",
        .filename = "gemma-4-E4B-it-UD-Q4_K_XL.gguf",
        .produced_by = "inferd/0.7.2",
        .produced_at = "2026-07-20T10:11:12Z",
    };
    FINE(manifest_write(&rig, &m, why));
    assert_string_equal(contents("store/manifests/gemma-4-e4b.json"), foreign);
    assert_false(exists("store/manifests/gemma-4-e4b.json.tmp"));
    struct stat st;
    assert_int_equal(stat("store/manifests/gemma-4-e4b.json", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void what_is_not_given_has_a_default(void **state UNUSED)
{
    struct manifest m = { .name = "m", .blob = rig_digest(ABC), .produced_by = "x/1" };
    make_file("store/manifests/m.json.tmp", "left behind");
    make_file("store/manifests/m.json", "old");
    FINE(manifest_write(&rig, &m, why));
    assert_non_null(strstr(contents("store/manifests/m.json"), "\"license\": null,"));
    CLEANUP(manifest_done) struct manifest back = { 0 };
    FINE(manifest_read(&rig, "m", &back, why));
    assert_null(back.license);
    assert_string_equal(back.format, "gguf");
    assert_string_equal(back.registry, "");
    assert_int_equal(strlen(back.produced_at), strlen("2026-07-20T10:11:12Z"));
    assert_int_equal(back.produced_at[19], 'Z');
}

static void what_is_in_there_beside_does_not_matter(void **state UNUSED)
{
    char text[1024];
    snprintf(text, sizeof text, "{\"new\":[1,{}],%s", foreign + 1);
    make_file("store/manifests/other-name.json", text);
    CLEANUP(manifest_done) struct manifest m = { 0 };
    FINE(manifest_read(&rig, "other-name", &m, why));
    assert_string_equal(m.name, "other-name");
}

/* The manifest without the line that has `field` in it. */
static void expect_needed(const char *field)
{
    char text[sizeof foreign] = "";
    for (const char *line = foreign; *line;) {
        const char *end = strchr(line, '\n') + 1;
        if (!memmem(line, (size_t)(end - line), field, strlen(field)))
            strncat(text, line, (size_t)(end - line));
        line = end;
    }
    /* No comma may be left before a brace. */
    for (char *c; (c = strstr(text, ",\n}")) || (c = strstr(text, ",\n  }"));)
        *c = ' ';
    make_file("store/manifests/m.json", text);
    struct manifest m;
    struct error error = { 0 };
    if (manifest_read(&rig, "m", &m, &error) != ERR_PROTOCOL)
        fail_msg("without %s it was read", field);
    char want[256];
    snprintf(want, sizeof want, "malformed manifest at store/manifests/m.json: missing field `%s`",
             field);
    assert_string_equal(error.message, want);
}

static void every_field_but_the_license_is_needed(void **state UNUSED)
{
    static const char *const fields[] = { "schema_version", "name",        "format",     "blob",
                                          "size_bytes",     "registry",    "repo",       "revision",
                                          "filename",       "produced_by", "produced_at" };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (strcmp(fields[i], "name") != 0) /* "filename" has it in it, too */
            expect_needed(fields[i]);
}

static void expect_malformed(const char *text, const char *reason)
{
    make_file("store/manifests/m.json", text);
    struct manifest m;
    FAILS(manifest_read(&rig, "m", &m, why), ERR_PROTOCOL,
          "malformed manifest at store/manifests/m.json: ");
    FAILS(manifest_read(&rig, "m", &m, why), ERR_PROTOCOL, reason);
}

static void what_is_malformed_says_where_and_why(void **state UNUSED)
{
    expect_malformed("", "not valid JSON");
    expect_malformed("[]", "not an object");
    expect_malformed("{\"schema_version\":1}", "missing field `name`");
    expect_malformed("{\"schema_version\":1,\"name\":5}", "name must be a string");
    expect_malformed("{\"schema_version\":1,\"name\":\"m\",\"format\":\"gguf\","
                     "\"blob\":\"sha256:../../../../etc/passwd\"}",
                     "64 hex digits");
    expect_malformed("{\"schema_version\":1,\"name\":\"m\",\"format\":\"gguf\","
                     "\"blob\":\"md5:1\"}",
                     "sha256:");
    expect_malformed("{\"schema_version\":1,\"name\":\"m\",\"format\":\"gguf\","
                     "\"blob\":\"sha256:" ABC "\",\"size_bytes\":-1}",
                     "size_bytes");
}

static void names_that_are_none_read_and_write_nothing(void **state UNUSED)
{
    struct manifest m = { .name = "../m", .blob = rig_digest(ABC), .produced_by = "x/1" };
    FAILS(manifest_write(&rig, &m, why), ERR_INVALID_REQUEST, "invalid model name");
    FAILS(manifest_read(&rig, "../locks/x", &m, why), ERR_INVALID_REQUEST, "invalid model name");
    FAILS(manifest_read(&rig, "nobody", &m, why), ERR_NOT_FOUND, "no model \"nobody\"");
    assert_false(exists("store/m.json"));
}

static void a_planted_manifest_is_refused(void **state UNUSED)
{
    struct manifest m = { .name = "m", .blob = rig_digest(ABC), .produced_by = "x/1" };
    make_file("victim", foreign);
    assert_int_equal(symlink("../../victim", "store/manifests/m.json"), 0);
    struct manifest back;
    FAILS(manifest_read(&rig, "m", &back, why), ERR_CONFIG, "is a symbolic link (refused)");
    FAILS(manifest_write(&rig, &m, why), ERR_CONFIG, "is a symbolic link (refused)");
    assert_int_equal(unlink("store/manifests/m.json"), 0);
    assert_int_equal(symlink("../../victim", "store/manifests/m.json.tmp"), 0);
    FAILS(manifest_write(&rig, &m, why), ERR_CONFIG, "is a symbolic link (refused)");
    assert_string_equal(contents("victim"), foreign);
}

#undef RIG_TEST
#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, begin_write, rig_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(what_the_reference_writes_is_read),
        RIG_TEST(what_we_write_is_what_the_reference_writes),
        RIG_TEST(what_is_not_given_has_a_default),
        RIG_TEST(what_is_in_there_beside_does_not_matter),
        RIG_TEST(every_field_but_the_license_is_needed),
        RIG_TEST(what_is_malformed_says_where_and_why),
        RIG_TEST(names_that_are_none_read_and_write_nothing),
        RIG_TEST(a_planted_manifest_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
