/* Promises of engines/llama/nesting.c. */
#include "llama/nesting.h"

#include "test.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

/* `before`, then `n` times `piece`, then `after`. */
static enum err check(const char *before, const char *piece, size_t n, const char *after)
{
    struct buf text;
    buf_init(&text, 1024 * 1024);
    assert_int_equal(buf_append_str(&text, before), OK);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(buf_append_str(&text, piece), OK);
    assert_int_equal(buf_append_str(&text, after), OK);
    struct error error = { 0 };
    enum err e = nesting_check(text.at ? text.at : "", text.len, &error);
    assert_true(e == OK || strstr(error.message, "byte"));
    buf_done(&text);
    return e;
}

#define FINE(before, piece, n, after)  assert_int_equal(check(before, piece, n, after), OK)
#define WRONG(before, piece, n, after) assert_int_equal(check(before, piece, n, after), ERR_CONFIG)

static void every_template_that_llama_cpp_has_is_fine(void **state UNUSED)
{
    DIR *d = opendir(LLAMA_SOURCE "/models/templates");
    assert_non_null(d);
    unsigned n = 0;
    for (struct dirent *entry; (entry = readdir(d));) {
        char path[512], *text;
        size_t len;
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, LLAMA_SOURCE "/models/templates/%s", entry->d_name);
        struct error error;
        assert_int_equal(file_read(path, 1024 * 1024, &text, &len, NULL), OK);
        if (nesting_check(text, len, &error))
            fail_msg("%s: %s", path, error.message);
        free(text);
        n++;
    }
    closedir(d);
    assert_true(n > 40);
}

static void text_is_not_counted(void **state UNUSED)
{
    FINE("", "(((( [[ if not ", 10000, "");
    FINE("{# ", "{% if x %}", 10000, " #}");
    FINE("{{ \"", "(", 10000, "\" }}");
    FINE("{{ '", "\\'(", 10000, "' }}");
}

static void one_after_the_other_is_not_deep(void **state UNUSED)
{
    FINE("", "{% if not (x) %}{% else %}{% endif %}{{ [(1)] }}", 10000, "");
    FINE("", "{% set x = 1 %}", 10000, "");
    FINE("", "{%- set x -%} y {%- endset -%}", 10000, "");
}

static void blocks_in_blocks_are_deep(void **state UNUSED)
{
    FINE("", "{% if x %}", 128, "");
    WRONG("", "{% if x %}", 129, "");
    WRONG("", "{%- for x in y -%}", 129, "");
    WRONG("", "{% macro m() %}{% call m() %}{% filter f %}{% set s %}", 33, "");
}

static void each_elif_is_deeper_than_the_one_before(void **state UNUSED)
{
    FINE("{% if x %}", "{% elif y %}", 127, "{% endif %}{% if x %}{% endif %}");
    WRONG("{% if x %}", "{% elif y %}", 128, "");
}

static void brackets_are_deep_as_long_as_they_are_open(void **state UNUSED)
{
    FINE("{{ ", "f(x)[0]", 60, " }}");
    FINE("{{ ", "(", 128, " }}");
    WRONG("{{ ", "(", 129, " }}");
    WRONG("{% if ", "[(", 65, " %}");
    WRONG("{{ ", "{'a':", 129, " }}");
}

static void what_the_parser_calls_itself_for_is_deep(void **state UNUSED)
{
    WRONG("{{ ", "not ", 129, "x }}");
    WRONG("{{ ", "1 if x else ", 129, "2 }}");
    WRONG("{{ ", "- ", 130, "1 }}");
    WRONG("{{ ", "not (", 65, "x }}");
}

static void a_chain_of_operators_has_an_end(void **state UNUSED)
{
    FINE("{{ 1", " + 1", 500, " }}");
    WRONG("{{ 1", " + 1", 600, " }}");
    WRONG("{{ x", "|f", 600, " }}");
    WRONG("{{ x", ".y", 600, " }}");
}

static void what_does_not_end_is_not_read_beyond(void **state UNUSED)
{
    static const char *const halves[] = { "{",      "{{",    "{%",   "{#",     "{{ \"",
                                          "{{ '\\", "{% if", "{% i", "{# x #", "{{ x }" };
    for (size_t i = 0; i < ARRAY_LEN(halves); i++) {
        size_t n = strlen(halves[i]);
        char *exact = malloc(n); /* a sanitizer sees one byte too many */
        assert_non_null(exact);
        memcpy(exact, halves[i], n);
        assert_int_equal(nesting_check(exact, n, NULL), OK);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_template_that_llama_cpp_has_is_fine),
        cmocka_unit_test(text_is_not_counted),
        cmocka_unit_test(one_after_the_other_is_not_deep),
        cmocka_unit_test(blocks_in_blocks_are_deep),
        cmocka_unit_test(each_elif_is_deeper_than_the_one_before),
        cmocka_unit_test(brackets_are_deep_as_long_as_they_are_open),
        cmocka_unit_test(what_the_parser_calls_itself_for_is_deep),
        cmocka_unit_test(a_chain_of_operators_has_an_end),
        cmocka_unit_test(what_does_not_end_is_not_read_beyond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
