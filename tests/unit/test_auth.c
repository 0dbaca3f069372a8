/*
 * test_auth.c - the key that TCP clients begin with.
 */
#include "test.h"

#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "wire/auth.h"

static bool accepts(const char *line, const char *key)
{
    return auth_accepts(line, strlen(line), key);
}

static void the_key_and_nothing_but_the_key(void **state UNUSED)
{
    assert_true(accepts("{\"type\":\"auth\",\"key\":\"sesame\"}", "sesame"));
    assert_true(accepts(" {\"key\" : \"sesame\", \"type\":\"auth\", \"more\":1} ", "sesame"));
    static const char *const wrong[] = {
        "",       "sesam",   "sesamesesame", "sesamesesamesesame", "Sesame", "sesamf",
        "xesame", " sesame", "sesame ",      "sesame\\u0000"
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char line[128];
        snprintf(line, sizeof line, "{\"type\":\"auth\",\"key\":\"%s\"}", wrong[i]);
        if (accepts(line, "sesame"))
            fail_msg("'%s' was accepted", wrong[i]);
    }
}

static void what_is_no_auth_line(void **state UNUSED)
{
    static const char *const lines[] = {
        "",
        "sesame",
        "\"sesame\"",
        "[\"auth\",\"sesame\"]",
        "{\"key\":\"sesame\"}",
        "{\"type\":\"auth\"}",
        "{\"type\":\"status\",\"key\":\"sesame\"}",
        "{\"type\":\"auth\",\"key\":[\"sesame\"]}",
        "{\"type\":\"auth\",\"key\":null}",
        "{\"type\":\"auth\",\"key\":\"sesame\"",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (accepts(lines[i], "sesame"))
            fail_msg("%s was accepted", lines[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_key_and_nothing_but_the_key),
        cmocka_unit_test(what_is_no_auth_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
