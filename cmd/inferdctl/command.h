/*
 * command.h - one command of inferdctl: one file, one row in inferdctl.c.
 */
#pragma once

#include "args.h"

/* How inferdctl ends; docs/inferdctl.md promises these to scripts. */
enum {
    DONE = 0,
    REFUSED = 1,        /* the daemon said no, or is there, but not ready; a model is not right */
    TROUBLE = 2,        /* wrong usage, no daemon, or something that could not be done */
    OUTPUT_CLOSED = 141 /* nobody reads standard output any more */
};

struct command {
    const char *name;
    const char *words;   /* what may stand behind the options: "[PROMPT | -]"; or "" */
    const char *summary; /* one line, for the list */
    const char *help;    /* what it does, for its own page; ends with a newline */
    const struct flag *flags;
    size_t n_flags;
    int (*run)(struct args *args); /* reads `args` to the end; what the program ends with */
};

extern const struct command command_generate, command_status, command_watch, command_stats,
    command_reload, command_load, command_unload, command_cancel, command_drain, command_pull,
    command_import, command_list, command_show, command_verify, command_rm, command_gc, command_df,
    command_version, command_help;

/* All of them in the order of the list, NULL behind the last. */
extern const struct command *const commands[];

/* The command, or NULL after a complaint that suggests the nearest one. */
const struct command *command_find(const char *name);

/* Write the page of one command, or the overview if it is NULL; what the program ends
 * with. */
int help_print(int fd, const struct command *command);

/* The same with this program's name and version, to standard output. */
int version_print(void);
