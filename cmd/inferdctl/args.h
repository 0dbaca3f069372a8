/*
 * args.h - the command line, one flag or word at a time.
 *
 *     for (;;)
 *         switch (args_next(args)) {
 *         case ARG_FLAG: set(args->flag, args->value); break;
 *         case ARG_WORD: add(args->value); break;
 *         case ARG_END:  return work();
 *         case ARG_STOP: return args->exit_code;
 *         }
 *
 * Flags may stand before and behind words; behind "--" everything is a word, and
 * "-" always is.  "--name VALUE" and "--name=VALUE" are the same.
 *
 * The flags that every command has are dealt with here: they become environment
 * variables, which is where libinferd looks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flag {
    const char *name;  /* "--max-tokens" */
    char letter;       /* 'v' for "-v", or 0 */
    const char *value; /* what the help calls its value; NULL if it takes none */
    const char *help;  /* one line */
};

extern const struct flag common_flags[];
extern const size_t n_common_flags;

struct command;

struct args {
    int argc;
    char **argv;
    int at;                        /* the next one to look at */
    bool only_words;               /* "--" was seen */
    const struct command *command; /* whose flags count, too; NULL before there is one */
    size_t flag;                   /* after ARG_FLAG: which of the command's */
    const char *value;             /* after ARG_FLAG (NULL if it takes none) and ARG_WORD */
    int exit_code;                 /* after ARG_STOP */
};

enum arg {
    ARG_FLAG,
    ARG_WORD,
    ARG_END,
    ARG_STOP, /* help was asked for and given, or something was wrong and said */
};

enum arg args_next(struct args *args);

/* For commands that take neither flags of their own nor words: true at the end, false
 * if the program is to end with args->exit_code. */
bool args_nothing_more(struct args *args);

/* Complain about the word that args_next() returned last; what the program ends with. */
int args_one_too_many(const struct args *args);

/* The name of the flag that args_next() returned last. */
const char *args_flag_name(const struct args *args);

/* The flag's value as a number from `lowest` to `highest`; false after a complaint that
 * names flag and value. */
bool args_number(const struct args *args, double lowest, double highest, double *ret);

/* The same, for whole numbers from 0. */
bool args_whole_number(const struct args *args, int64_t highest, int64_t *ret);
