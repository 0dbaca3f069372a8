/*
 * What url.h and answer.h promise: what may be shown, who is who, and which ranges are right.
 */
#include "url.h"

#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "test.h"

static void shown(const char *url, const char *want)
{
    char text[URL_SHOWN_MAX];
    url_show(url, text);
    assert_string_equal(text, want);
}

static void secrets_are_not_shown(void **state UNUSED)
{
    shown("https://a/b", "https://a/b");
    shown("https://a/b?key=x", "https://a/b");
    shown("https://a/b#key", "https://a/b");
    shown("https://user:pw@a/b", "https://a/b");
    shown("https://user:p@w@a/b?x", "https://a/b");
    shown("https://a?user@b", "https://a");
    shown("https://a/b@c", "https://a/b@c");
    shown("a b\n\"", "a?b??");
    shown("", "");
}

static void checked(const char *url, enum outcome want)
{
    struct error error;
    if (url_check("model URL", url, &error) != want)
        fail_msg("'%s' should be %s", url, outcome_name(want));
}

static void only_https_without_credentials(void **state UNUSED)
{
    checked("https://a/b", PRESENT);
    checked("HTTPS://a/b", PRESENT);
    checked("https://[::1]:8443/b?c", PRESENT);
    checked("http://a/b", INSECURE_URL);
    checked("file:///b", INSECURE_URL);
    checked("https://", INSECURE_URL);
    checked("a/b", INSECURE_URL);
    checked("https:/a b/", INSECURE_URL);
    checked("https://u@a/b", INSECURE_URL);
    checked("https://u:p@a/b", INSECURE_URL);
    checked("", INSECURE_URL);
}

static void resolved(const char *location, const char *want)
{
    struct error error;
    char *url = NULL;
    assert_int_equal(url_resolve("https://a:1/b/c?d", location, &url, &error), PRESENT);
    assert_string_equal(url, want);
    free(url);
}

static void redirects_may_be_relative(void **state UNUSED)
{
    resolved("/x", "https://a:1/x");
    resolved("x?y", "https://a:1/b/x?y");
    resolved("//e/x", "https://e/x");
    resolved("https://e/x", "https://e/x");
    resolved("http://e/x", "http://e/x");
}

static void servers_are_told_apart(void **state UNUSED)
{
    assert_true(url_same_server("https://a/b", "https://A:443/c?d"));
    assert_false(url_same_server("https://a/b", "https://a:8443/b"));
    assert_false(url_same_server("https://a/b", "https://a.b/b"));
    assert_false(url_same_server("https://huggingface.co.evil/", "https://huggingface.co/"));
}

static void the_last_word_of_the_path(void **state UNUSED)
{
    char name[URL_HOST_MAX];
    url_filename("https://a/b/c.gguf?d/e", name);
    assert_string_equal(name, "c.gguf");
    url_filename("https://a/b/", name);
    assert_string_equal(name, "");
    url_filename("https://a", name);
    assert_string_equal(name, "");
}

static void exempt_from_the_proxy(void **state UNUSED)
{
    assert_true(url_in_list("a.example.com", "other, .example.com"));
    assert_true(url_in_list("example.com", "example.com"));
    assert_true(url_in_list("EXAMPLE.com", "Example.COM"));
    assert_true(url_in_list("anything", "*"));
    assert_true(url_in_list("10.0.0.1", "10.0.0.1"));
    assert_false(url_in_list("notexample.com", "example.com"));
    assert_false(url_in_list("10.0.0.1", "0.1"));
    assert_false(url_in_list("a", ""));
    assert_false(url_in_list("a", ", ,"));
}

static void range(const char *text, bool want)
{
    struct span span = { 0, 0 };
    uint64_t size = 0;
    if (content_range_read(text, &span, &size) != want)
        fail_msg("'%s' should be %s", text, want ? "right" : "wrong");
    if (want)
        assert_true(span.from == 5 && span.to == 10 && size == 20);
}

static void a_content_range_is_exact(void **state UNUSED)
{
    range("bytes 5-9/20", true);
    range("Bytes 5-9/20", true);
    range("bytes 5-9/20 ", false);
    range("bytes 5-9/*", false);
    range("bytes */20", false);
    range("bytes=5-9/20", false);
    range("bytes 9-5/20", false);
    range("bytes 5-20/20", false);
    range("bytes -5-9/20", false);
    range("bytes 5-9", false);
    range("bytes 5-9/99999999999999999999", false);
    range("", false);
}

static void the_same_file(void **state UNUSED)
{
    const struct identity is = { .etag = "\"a\"", .last_modified = "then", .size = 5 };
    struct identity now = is;
    assert_true(identity_same(&is, &now));
    now.last_modified[0] = 'T'; /* the ETag knows better */
    assert_true(identity_same(&is, &now));
    now.etag[0] = '\0';
    assert_false(identity_same(&is, &now));
    now.last_modified[0] = '\0'; /* nothing is said: nothing contradicts */
    assert_true(identity_same(&is, &now));
    now.size = 6;
    assert_false(identity_same(&is, &now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_are_not_shown),
        cmocka_unit_test(only_https_without_credentials),
        cmocka_unit_test(redirects_may_be_relative),
        cmocka_unit_test(servers_are_told_apart),
        cmocka_unit_test(the_last_word_of_the_path),
        cmocka_unit_test(exempt_from_the_proxy),
        cmocka_unit_test(a_content_range_is_exact),
        cmocka_unit_test(the_same_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
