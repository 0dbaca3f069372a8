/*
 * Promises of engines/llama/grammar.c: what llama.cpp reads is read, with its examples, and
 * what would take it too long is refused, with the place.
 */
#include "llama/grammar.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#include <cmocka.h>

static enum err check(const char *text, struct error *error)
{
    /* Not terminated: what is read beyond the end is found by the sanitizers. */
    size_t len = strlen(text);
    char *copy = malloc(len + 1);
    memcpy(copy, text, len);
    enum err e = grammar_check((struct slice){ copy, len }, error);
    free(copy);
    return e;
}

static void expect_fine(const char *text)
{
    struct error error = { .message = "" };
    if (check(text, &error) != OK)
        fail_msg("%s: %s", text, error.message);
}

static void expect_refused(const char *text, const char *says)
{
    struct error error = { .message = "" };
    assert_int_equal(check(text, &error), ERR_INVALID_REQUEST);
    if (!strstr(error.message, says))
        fail_msg("%.60s: '%s' is not in '%s'", text, says, error.message);
}

static void what_can_be_written_is_read(void **state UNUSED)
{
    expect_fine("root ::= \"a\"");
    expect_fine("  # first\n\nroot ::= # why\n  \"a\" | # because\n \"b\"\n# last");
    expect_fine(
        "root ::= [a-z] [^0-9\\]\\x41-] \"\\\"\\\\\\n\\u20ac\\U0001F600\" .\r\nb ::= root\r\n");
    expect_fine("root ::= a-1* B?\na-1 ::= \"x\"\nB ::= (\"y\" | [z]+ | \"\"){2,} {3} {0,1}");
    expect_fine("root ::= <[42]> !<|end|> <think>");
    expect_fine("root ::= (\n\"a\"\n|\n\"b\"\n)\n");
    expect_fine("root ::= \"\xE2\x82\xAC\" [\xC3\xA4-\xC3\xBC]");
    expect_fine("root ::= (ws item)* ws\nitem ::= \"x\"\nws ::= [ \\t\\n]*");
    expect_fine("root ::= item root | \"\"\nitem ::= \"x\"");
}

static void its_own_examples_are_read(void **state UNUSED)
{
    DIR *d = opendir(LLAMA_SOURCE "/grammars");
    struct dirent *entry;
    int n = 0;
    assert_non_null(d);
    while ((entry = readdir(d))) {
        char path[512], *text;
        size_t len;
        struct error error = { .message = "" };
        if (!strstr(entry->d_name, ".gbnf"))
            continue;
        snprintf(path, sizeof path, LLAMA_SOURCE "/grammars/%s", entry->d_name);
        assert_int_equal(file_read(path, 1 << 20, &text, &len, &error), OK);
        if (grammar_check((struct slice){ text, len }, &error))
            fail_msg("%s: %s", entry->d_name, error.message);
        free(text);
        n++;
    }
    closedir(d);
    assert_true(n >= 5);
}

static void what_is_wrong_is_said_with_its_place(void **state UNUSED)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "root ::= \"a", "line 1, column 12: it ends inside a string" },
        { "root ::= [a", "column 12: it ends inside a string or a class" },
        { "root ::= []", "column 11: a class without a character" },
        { "root ::= \"a\" ]", "line 1, column 14: what follows does not belong" },
        { "root ::= (\"a\"", "column 14: ')' is missing" },
        { "root ::= \"\\q\"", "column 12: an unknown escape" },
        { "root ::= \"\\x4g\"", "2 hexadecimal digits" },
        { "root ::= *", "'*' follows nothing" },
        { "root ::= \"a\" | +", "'+' follows nothing" },
        { "root ::= \"\"?", "'?' follows nothing" },
        { "root := \"a\"", "column 7: ':' is missing" },
        { "root ::= \"a\"\n!", "line 2, column 1: a rule's name is missing" },
        { "\nroot ::= \"\xC3\xA4\" {", "line 2, column 15: a number is missing" },
        { "root ::= \"a\"{2", "'}' is missing" },
        { "root ::= \"a\"{3,2}", "at least 3 and at most 2" },
        { "root ::= <a", "'>' is missing" },
        { "root ::= \"a\" item", "line 1, column 14: there is no rule 'item'" },
        { "other ::= \"a\"", "no rule is called root" },
        { "", "no rule is called root" },
        { "root ::= root \"a\"", "line 1, column 1: a rule begins with itself" },
        { "root ::= a\na ::= b \"x\" | \"y\"\nb ::= \"c\"? a", "begins with itself" },
        { "root ::= \"\" | e root \"x\"\ne ::= f\nf ::= \"y\"?", "begins with itself" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_refused(cases[i].text, cases[i].says);
}

/* `head`, `bit` so many times, `tail`. */
static char *many(const char *head, const char *bit, size_t n, const char *tail)
{
    char *text = malloc(strlen(head) + n * strlen(bit) + strlen(tail) + 1);
    char *at = stpcpy(text, head);
    for (size_t i = 0; i < n; i++)
        at = stpcpy(at, bit);
    strcpy(at, tail);
    return text;
}

static void groups_have_a_depth(void **state UNUSED)
{
    char open[3][100];
    for (size_t i = 0; i < 3; i++) {
        size_t depth = (size_t)GRAMMAR_DEPTH_MAX + i - 1;
        memset(open[i], '(', depth);
        open[i][depth] = '\0';
    }
    for (size_t i = 0; i < 3; i++) {
        char *text = many(open[i], ")", strlen(open[i]), "");
        char grammar[400];
        snprintf(grammar, sizeof grammar, "root ::= %.*s\"a\"%s", (int)strlen(open[i]), text,
                 text + strlen(open[i]));
        if (i < 2)
            expect_fine(grammar);
        else
            expect_refused(grammar, "more than 64 groups inside each other");
        free(text);
    }
}

static void repetitions_have_a_size(void **state UNUSED)
{
    expect_fine("root ::= [a-z]{2000}");
    expect_fine("root ::= [a-z]{0,2000}");
    expect_refused("root ::= [a-z]{2001}", "a repetition of 2001; at most 2000");
    expect_refused("root ::= [a-z]{0,2001}", "a repetition of 2001; at most 2000");
    expect_refused("root ::= [a-z]{99999999999999999999,}", "at most 2000");

    char *wide = many("root ::= \"", "a", 200, "\"{1500}");
    expect_refused(wide, "more than 200000 parts");
    free(wide);
    char *much = many("root ::= \"a\"", " [b]{0,2000}", 10, "");
    expect_refused(much, "more than 16384 rules");
    free(much);
    char *rules = many("root ::= \"a\"", " (\"a\")", 17000, "");
    expect_refused(rules, "more than 16384 rules");
    free(rules);
}

/* Forty short lines: two to the power of forty stacks. */
static void ways_to_begin_are_counted(void **state UNUSED)
{
    char bomb[4000];
    int n = snprintf(bomb, sizeof bomb, "root ::= r0\n");
    for (int i = 0; i < 40; i++)
        n += snprintf(bomb + n, sizeof bomb - (size_t)n, "r%d ::= r%d \"x\" | r%d \"y\"\n", i,
                      i + 1, i + 1);
    snprintf(bomb + n, sizeof bomb - (size_t)n, "r40 ::= \"z\"\n");
    expect_refused(bomb, "more than 5000 ways to begin");

    char *optional = many("root ::= ", "((\"a\"? \"b\"?){100}){100} ", 3, "");
    expect_refused(optional, "more than 5000 ways to begin");
    free(optional);
    char *words = many("root ::= \"a\"", " | \"bcd\"", 4000, "");
    expect_fine(words);
    free(words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_can_be_written_is_read),
        cmocka_unit_test(its_own_examples_are_read),
        cmocka_unit_test(what_is_wrong_is_said_with_its_place),
        cmocka_unit_test(groups_have_a_depth),
        cmocka_unit_test(repetitions_have_a_size),
        cmocka_unit_test(ways_to_begin_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
