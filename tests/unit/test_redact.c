/*
 * test_redact.c - what looks like a secret does not come through.
 */
#include "test.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "journal/redact.h"

static struct redactor *redactor;

static int set_up(void **state UNUSED)
{
    struct error error;
    return redactor_new(&redactor, &error) ? -1 : 0;
}

static int tear_down(void **state UNUSED)
{
    redactor_free(redactor);
    return 0;
}

/* The line comes out as `want`. */
static void becomes(const char *line, const char *want)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_int_equal(redact(redactor, line, strlen(line), &out), OK);
    assert_int_equal(buf_append(&out, "", 1), OK);
    assert_string_equal(out.at, want);
    buf_done(&out);
}

static void stays(const char *line)
{
    becomes(line, line);
}

static void headers_with_credentials(void **state UNUSED)
{
    becomes("Authorization: Bearer abcdefgh.123", "[REDACTED:auth-header]");
    becomes("x authorization=basic dXNlcjpwYXNz y", "x [REDACTED:auth-header] y");
    becomes("AUTHORIZATION: token 12345678,", "[REDACTED:auth-header],");
    becomes("\\\"authorization\\\": \\\"Bearer 12345678\\\"", "\\\"[REDACTED:auth-header]\\\"");
    becomes("sent bearer abcdefgh1234", "sent [REDACTED:auth-header]");
    stays("Authorization: Bearer short");
}

static void names_with_values(void **state UNUSED)
{
    becomes("password=hunter2", "[REDACTED:secret-kv]");
    becomes("Passwd: 'hunter2'", "[REDACTED:secret-kv]'");
    becomes("pwd=1234 api_key=abcd api-key: abcd apikey=abcd",
            "[REDACTED:secret-kv] [REDACTED:secret-kv] [REDACTED:secret-kv] [REDACTED:secret-kv]");
    becomes("?client_secret=abcd&x=1", "?client_[REDACTED:secret-kv]&x=1");
    becomes("token : \\\"abcd\\\"", "[REDACTED:secret-kv]\\\"");
    becomes("X-Amz-Signature=0123abcd", "X-Amz-[REDACTED:secret-kv]");
    becomes("aws_secret_access_key=abcd/efgh+1", "aws_secret_[REDACTED:secret-kv]");
    stays("password=abc");
}

static void tokens_by_their_shape(void **state UNUSED)
{
    becomes("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "[REDACTED:jwt]");
    static const char *const keys[] = {
        "sk-0123456789abcdef",
        "sk-proj-0123456789_abcdefghi-jkl",
        "sk-ant-api03-0123456789abcdef",
        "xoxb-1234567890",
        "ghp_0123456789abcdefghij",
        "gho_0123456789abcdefghij",
        "ghs_0123456789abcdefghij",
        "ghu_0123456789abcdefghij",
        "ghr_0123456789abcdefghij",
        "pat-0123456789abcdef",
        "thingspat_0123456789abcdef",
        "github_pat_0123456789abcdefghij",
        "glpat-0123456789abcdef",
        "hf_0123456789abcdefghij",
        "gsk_0123456789abcdefghij",
        "xai-0123456789abcdefghij",
        "nvapi-0123456789abcdefghij",
        "AIzaSy0123456789abcdefghijklmnopqrstuvw",
        "npm_0123456789abcdefghijklmnopqrstuvwxyz",
        "r8_0123456789abcdefghij",
        "xapp-0123456789abcdefghij",
        "sk_live_0123456789abcdef",
        "ABSKQmVkcm9ja0FQSUtleQ==",
    };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        becomes(keys[i], "[REDACTED:api-key]");
    becomes("AKIA0123456789ABCDEF", "[REDACTED:aws-access]");
    becomes("ASIA0123456789ABCDEF", "[REDACTED:aws-session]");
}

static void logins_in_addresses(void **state UNUSED)
{
    becomes("https://user:hunter2@host/x", "https://[REDACTED:url-login]@host/x");
    stays("https://host:443/x@y");
}

static void private_keys(void **state UNUSED)
{
    becomes("{\"a\":\"-----BEGIN RSA PRIVATE KEY-----\\nMIIE\\\"x\\n\",\"b\":1}",
            "{\"a\":\"[REDACTED:private-key]\",\"b\":1}");
}

static void what_the_log_is_made_of_stays(void **state UNUSED)
{
    stays("{\"backend\":\"main\",\"cached_tokens\":1000,\"component\":\"activity\","
          "\"first_token_ms\":12,\"level\":\"info\",\"msg\":\"request_done\","
          "\"peer_exe\":\"/usr/bin/some-app\",\"prompt_tokens\":1234,"
          "\"req_id\":\"task-0123456789abcdef01\",\"t\":\"2026-11-25T19:04:05.1+00:00\"}");
    stays("");
}

static void several_in_one_line(void **state UNUSED)
{
    becomes("a hf_0123456789abcdefghij b AKIA0123456789ABCDEF c hf_0123456789abcdefghij",
            "a [REDACTED:api-key] b [REDACTED:aws-access] c [REDACTED:api-key]");
}

/* Wherever a secret stands in a string, the line stays JSON. */
static void json_stays_json(void **state UNUSED)
{
    static const char *const secrets[] = {
        "token=\"abcdefgh\"",
        "token: 'abcd\\efgh'",
        "Authorization: \"Bearer 12345678\"",
        "https://u:p\"w@host",
        "-----BEGIN PRIVATE KEY-----\"\\",
        "\\\\password=\\abcd\"",
        "sk-0123456789abcdef\"x",
        "api_key=\xc3\xa4\xc3\xb6\xc3\xbc",
    };
    for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
        json_t *tree = json_pack("{s:s, s:i}", "text", secrets[i], "z", 1);
        char *line = json_dumps(tree, JSON_COMPACT);
        struct buf out;
        buf_init(&out, 1 << 20);
        assert_int_equal(redact(redactor, line, strlen(line), &out), OK);
        json_t *back = json_loadb(out.at, out.len, 0, NULL);
        assert_non_null(back);
        assert_int_equal(json_integer_value(json_object_get(back, "z")), 1);
        json_decref(back);
        buf_done(&out);
        free(line);
        json_decref(tree);
    }
}

/* Lines made to keep a matcher busy: they end, one way or the other. */
static void hostile_lines_end(void **state UNUSED)
{
    static const char *const pieces[] = { "token",  "authorization", "eyJ.",  "://:",
                                          "sk-",    "bearer ",       "pwd  ", "-----BEGIN ",
                                          "AKIA0A", "api_key ",      "\\\"",  "eyJaaaaaaaaaa" };
    static char line[60000];
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        size_t len = 0, n = strlen(pieces[i]);
        for (; len + n < sizeof line; len += n)
            memcpy(line + len, pieces[i], n);
        struct buf out;
        buf_init(&out, 1 << 20);
        enum err e = redact(redactor, line, len, &out);
        assert_true(e == OK || (e == ERR_INTERNAL && out.len == 0));
        buf_done(&out);
    }
}

static void too_long_is_refused_whole(void **state UNUSED)
{
    struct buf out;
    char *line = malloc(REDACTED_BYTES_MAX + 1);
    memset(line, 'x', REDACTED_BYTES_MAX + 1);
    buf_init(&out, 1 << 20);
    assert_int_equal(redact(redactor, line, REDACTED_BYTES_MAX, &out), OK);
    buf_clear(&out);
    assert_int_equal(redact(redactor, line, REDACTED_BYTES_MAX + 1, &out), ERR_FRAME_TOO_LARGE);
    assert_int_equal(out.len, 0);
    buf_done(&out);
    free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_with_credentials),
        cmocka_unit_test(names_with_values),
        cmocka_unit_test(tokens_by_their_shape),
        cmocka_unit_test(logins_in_addresses),
        cmocka_unit_test(private_keys),
        cmocka_unit_test(what_the_log_is_made_of_stays),
        cmocka_unit_test(several_in_one_line),
        cmocka_unit_test(json_stays_json),
        cmocka_unit_test(hostile_lines_end),
        cmocka_unit_test(too_long_is_refused_whole),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
