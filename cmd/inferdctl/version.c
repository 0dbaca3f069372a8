/*
 * version - say which version this is.
 */
#include "command.h"
#include "inferd/client.h"
#include "output.h"

int version_print(void)
{
    struct output out;
    output_init(&out, STDOUT_FILENO);
    output_printf(&out, "inferdctl %s\n", inferd_version());
    return output_verdict(&out, DONE);
}

static int run(struct args *args)
{
    return args_nothing_more(args) ? version_print() : args->exit_code;
}

const struct command command_version = {
    .name = "version",
    .words = "",
    .summary = "say which version this is",
    .help = "Prints the name and version of this program.\n",
    .run = run,
};
