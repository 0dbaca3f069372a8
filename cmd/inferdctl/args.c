/*
 * args.c - see args.h.
 */
#include "args.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/nearest.h"
#include "command.h"
#include "output.h"

enum { COMMON_RUNTIME_DIR, COMMON_ADMIN_ADDR, COMMON_HELP, COMMON_VERSION };

const struct flag common_flags[] = {
    [COMMON_RUNTIME_DIR] = { "--runtime-dir", 0, "DIR", "where the daemon's sockets lie" },
    [COMMON_ADMIN_ADDR] = { "--admin-addr", 0, "PATH", "the admin socket" },
    [COMMON_HELP] = { "--help", 'h', NULL, "explain and end" },
    [COMMON_VERSION] = { "--version", 'V', NULL, "say which version this is and end" },
};
const size_t n_common_flags = ARRAY_LEN(common_flags);

enum { NAME_SHOWN_MAX = 80 };

/* --- flags ------------------------------------------------------------------ */

static enum arg stop(struct args *args, int exit_code)
{
    args->exit_code = exit_code;
    return ARG_STOP;
}

/* "inferdctl --help" or "inferdctl generate --help" */
static void say_where_help_is(const struct args *args)
{
    complain("try: inferdctl %s%s--help", args->command ? args->command->name : "",
             args->command ? " " : "");
}

static enum arg unknown_flag(struct args *args, const char *given, size_t len)
{
    enum { FLAGS_MAX = 32 };
    const char *names[FLAGS_MAX];
    size_t n = 0;
    for (size_t i = 0; args->command && i < args->command->n_flags && n < FLAGS_MAX; i++)
        names[n++] = args->command->flags[i].name;
    for (size_t i = 0; i < n_common_flags && n < FLAGS_MAX; i++)
        names[n++] = common_flags[i].name;

    char wrong[NAME_SHOWN_MAX + 1];
    if (len > NAME_SHOWN_MAX)
        len = NAME_SHOWN_MAX;
    memcpy(wrong, given, len);
    wrong[len] = '\0';
    const char *meant = nearest(wrong, names, n);
    if (meant)
        complain("unknown option '%s'; did you mean '%s'?", wrong, meant);
    else
        complain("unknown option '%s'", wrong);
    say_where_help_is(args);
    return stop(args, TROUBLE);
}

/* The flag that `given` is, `len` bytes without a value; NULL if it is none of these. */
static const struct flag *find(const struct flag *flags, size_t n, const char *given, size_t len)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(flags[i].name) == len && memcmp(flags[i].name, given, len) == 0)
            return &flags[i];
        if (len == 2 && given[0] == '-' && flags[i].letter && given[1] == flags[i].letter)
            return &flags[i];
    }
    return NULL;
}

/* Finds the flag's value, behind '=' or as the next word. */
static bool take_value(struct args *args, const struct flag *flag, const char *equals)
{
    args->value = equals ? equals + 1 : NULL;
    if (!flag->value && equals) {
        complain("%s takes no value", flag->name);
    } else if (flag->value && !equals && args->at == args->argc) {
        complain("%s needs a value: %s %s", flag->name, flag->name, flag->value);
    } else {
        if (flag->value && !equals)
            args->value = args->argv[args->at++];
        return true;
    }
    say_where_help_is(args);
    return false;
}

/* False if the program is to end. */
static bool apply_common(struct args *args, const struct flag *flag)
{
    int failed = 0;
    switch (flag - common_flags) {
    case COMMON_RUNTIME_DIR:
        failed = setenv("INFERD_RUNTIME_DIR", args->value, 1);
        break;
    case COMMON_ADMIN_ADDR:
        failed = setenv("INFERD_ADMIN_ADDR", args->value, 1);
        break;
    case COMMON_HELP:
        args->exit_code = help_print(STDOUT_FILENO, args->command);
        return false;
    case COMMON_VERSION:
        args->exit_code = version_print();
        return false;
    }
    if (failed)
        args->exit_code = complain_with(TROUBLE, "out of memory");
    return !failed;
}

enum arg args_next(struct args *args)
{
    while (args->at < args->argc) {
        const char *given = args->argv[args->at++];
        if (args->only_words || given[0] != '-' || given[1] == '\0') {
            args->value = given;
            return ARG_WORD;
        }
        if (strcmp(given, "--") == 0) {
            args->only_words = true;
            continue;
        }

        const char *equals = strchr(given, '=');
        size_t len = equals ? (size_t)(equals - given) : strlen(given);
        const struct command *command = args->command;
        const struct flag *own = NULL, *common = NULL;
        if (command)
            own = find(command->flags, command->n_flags, given, len);
        if (!own)
            common = find(common_flags, n_common_flags, given, len);
        if (!own && !common)
            return unknown_flag(args, given, len);
        if (!take_value(args, own ? own : common, equals))
            return stop(args, TROUBLE);
        if (own) {
            args->flag = (size_t)(own - command->flags);
            return ARG_FLAG;
        }
        if (!apply_common(args, common))
            return ARG_STOP;
    }
    return ARG_END;
}

int args_one_too_many(const struct args *args)
{
    complain("'%.*s' is one argument too many", NAME_SHOWN_MAX, args->value);
    say_where_help_is(args);
    return TROUBLE;
}

bool args_nothing_more(struct args *args)
{
    enum arg arg = args_next(args);
    if (arg == ARG_WORD)
        args->exit_code = args_one_too_many(args);
    return arg == ARG_END;
}

const char *args_flag_name(const struct args *args)
{
    return args->command->flags[args->flag].name;
}

/* --- numbers ---------------------------------------------------------------- */

bool args_number(const struct args *args, double lowest, double highest, double *ret)
{
    char *end;
    const char *digits = args->value + (lowest < 0 && args->value[0] == '-');
    double value = strtod(args->value, &end);
    bool starts = (digits[0] >= '0' && digits[0] <= '9') || digits[0] == '.';
    if (!starts || *end || !(value >= lowest && value <= highest)) {
        complain("%s is '%.*s'; it must be a number from %.10g to %.10g", args_flag_name(args),
                 NAME_SHOWN_MAX, args->value, lowest, highest);
        return false;
    }
    *ret = value;
    return true;
}

bool args_whole_number(const struct args *args, int64_t highest, int64_t *ret)
{
    char *end;
    long long value = strtoll(args->value, &end, 10);
    bool starts = args->value[0] >= '0' && args->value[0] <= '9';
    if (!starts || *end || value > highest) {
        complain("%s is '%.*s'; it must be a whole number from 0 to %lld", args_flag_name(args),
                 NAME_SHOWN_MAX, args->value, (long long)highest);
        return false;
    }
    *ret = value;
    return true;
}
