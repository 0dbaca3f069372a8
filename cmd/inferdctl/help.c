/*
 * help - explain a command, or list them all.
 *
 *     inferdctl help [COMMAND]
 */
#include <stdio.h>

#include "base/base.h"
#include "command.h"
#include "output.h"

static void print_flags(struct output *out, const struct flag *flags, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct flag *f = &flags[i];
        char letter[] = "    ", left[64];
        if (f->letter)
            snprintf(letter, sizeof letter, "-%c, ", f->letter);
        snprintf(left, sizeof left, "%s%s %s", letter, f->name, f->value ? f->value : "");
        output_printf(out, "  %-26s %s\n", left, f->help);
    }
}

static void print_page(struct output *out, const struct command *c)
{
    output_printf(out, "usage: inferdctl %s%s%s%s\n\n%s\n", c->name,
                  c->n_flags > 0 ? " [OPTION]..." : "", c->words[0] ? " " : "", c->words, c->help);
    print_flags(out, c->flags, c->n_flags);
    print_flags(out, common_flags, n_common_flags);
}

static void print_overview(struct output *out)
{
    output_printf(out,
                  "usage: inferdctl COMMAND [OPTION]... [ARGUMENT]...\n\n"
                  "Asks the inferd daemon of this machine, asks about it, and keeps the store of\n"
                  "models.\n\n");
    for (size_t i = 0; commands[i]; i++)
        output_printf(out, "  %-12s %s\n", commands[i]->name, commands[i]->summary);
    output_printf(out, "\nOptions of every command:\n");
    print_flags(out, common_flags, n_common_flags);
    output_printf(out, "\nMore about a command: inferdctl help COMMAND\n");
}

int help_print(int fd, const struct command *command)
{
    struct output out;
    output_init(&out, fd);
    if (command)
        print_page(&out, command);
    else
        print_overview(&out);
    return output_verdict(&out, DONE);
}

static int run(struct args *args)
{
    const struct command *command = NULL;
    for (;;) {
        switch (args_next(args)) {
        case ARG_WORD:
            if (command)
                return args_one_too_many(args);
            command = command_find(args->value);
            if (!command)
                return TROUBLE;
            break;
        case ARG_FLAG: /* it has none */
        case ARG_END:
            return help_print(STDOUT_FILENO, command);
        case ARG_STOP:
            return args->exit_code;
        }
    }
}

const struct command command_help = {
    .name = "help",
    .words = "[COMMAND]",
    .summary = "explain a command",
    .help = "Explains a command, or lists them all.\n",
    .run = run,
};
