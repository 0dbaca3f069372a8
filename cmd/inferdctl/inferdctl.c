/*
 * inferdctl - the command line of the inferd daemon and of the model store.
 *
 * Each command is a file with a row in the table below.  It reads its own part of
 * the command line, does its work, and returns what the program ends with.
 */
#include <signal.h>
#include <string.h>

#include "base/base.h"
#include "base/nearest.h"
#include "command.h"
#include "output.h"

const struct command *const commands[] = {
    &command_generate, &command_status, &command_watch,   &command_stats,  &command_reload,
    &command_load,     &command_unload, &command_cancel,  &command_drain,  &command_pull,
    &command_import,   &command_list,   &command_show,    &command_verify, &command_rm,
    &command_gc,       &command_df,     &command_version, &command_help,   NULL,
};

const struct command *command_find(const char *name)
{
    const char *names[ARRAY_LEN(commands)];
    size_t n = 0;
    for (; commands[n]; n++) {
        if (strcmp(commands[n]->name, name) == 0)
            return commands[n];
        names[n] = commands[n]->name;
    }
    const char *meant = nearest(name, names, n);
    if (meant)
        complain("unknown command '%.80s'; did you mean '%s'?", name, meant);
    else
        complain("unknown command '%.80s'", name);
    complain("try: inferdctl --help");
    return NULL;
}

int main(int argc, char **argv)
{
    /* A closed pipe is to be an error of the write, not the end of the program. */
    signal(SIGPIPE, SIG_IGN);

    struct args args = { .argc = argc, .argv = argv, .at = 1 };
    switch (args_next(&args)) {
    case ARG_WORD:
        args.command = command_find(args.value);
        return args.command ? args.command->run(&args) : TROUBLE;
    case ARG_STOP:
        return args.exit_code;
    case ARG_FLAG: /* there is no command yet that could have one */
    case ARG_END:
        break;
    }
    help_print(STDERR_FILENO, NULL);
    return TROUBLE;
}
