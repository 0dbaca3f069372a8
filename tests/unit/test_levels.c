/*
 * test_levels.c - how much is written, by component.
 */
#include "test.h"

#include <string.h>

#include "base/levels.h"

static struct levels read_levels(const char *text)
{
    struct levels l;
    struct error error;
    if (levels_read(text, &l, &error))
        fail_msg("'%s': %s", text, error.message);
    return l;
}

/* The most talkative level that a component may write at. */
static enum log_level most(const char *text, const char *component)
{
    struct levels l = read_levels(text);
    enum log_level level = LOG_OFF;
    while (level < LOG_DEBUG && levels_allow(&l, component, level + 1))
        level++;
    return level;
}

static void info_unless_told_otherwise(void **state UNUSED)
{
    assert_int_equal(most("", "activity"), LOG_INFO);
    assert_int_equal(most("engine=debug", "activity"), LOG_INFO);
}

static void one_word_is_for_all(void **state UNUSED)
{
    assert_int_equal(most("warn", "activity"), LOG_WARN);
    assert_int_equal(most("ERROR", "activity"), LOG_ERROR);
    assert_int_equal(most("off", "activity"), LOG_OFF);
    assert_int_equal(most("0", "activity"), LOG_OFF);
    assert_int_equal(most("3", "activity"), LOG_INFO);
    assert_int_equal(most("trace", "activity"), LOG_DEBUG);
    assert_int_equal(most("inferd_daemon=debug", "activity"), LOG_DEBUG);
}

static void components_of_their_own(void **state UNUSED)
{
    assert_int_equal(most("warn,activity=info", "activity"), LOG_INFO);
    assert_int_equal(most("warn,activity=info", "engine"), LOG_WARN);
    assert_int_equal(most("activity=off, debug", "activity"), LOG_OFF);
    assert_int_equal(most("inferd_daemon::activity=warn", "activity"), LOG_WARN);
    assert_int_equal(most("activity=warn,activity=debug", "activity"), LOG_DEBUG);
    assert_int_equal(most("hyper=debug,warn", "activity"), LOG_WARN);
}

static void nonsense_is_refused(void **state UNUSED)
{
    static const char *const texts[] = {
        "loud",
        "info,loud",
        "activity=",
        "activity=loud",
        "6",
        "=",
        "a-name-that-is-much-longer-than-a-component=info",
        "a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1,j=1,k=1,l=1,m=1,n=1,o=1,p=1,q=1",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct levels l = { .all = LOG_WARN };
        struct error error;
        assert_int_equal(levels_read(texts[i], &l, &error), ERR_CONFIG);
        assert_int_equal(l.all, LOG_WARN);
    }
}

static void the_reason_names_the_word(void **state UNUSED)
{
    struct levels l;
    struct error error;
    assert_int_equal(levels_read("activity=loud", &l, &error), ERR_CONFIG);
    assert_non_null(strstr(error.message, "'loud'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(info_unless_told_otherwise), cmocka_unit_test(one_word_is_for_all),
        cmocka_unit_test(components_of_their_own),    cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(the_reason_names_the_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
