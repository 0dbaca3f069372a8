/*
 * watch - follow the daemon's state.
 *
 *     inferdctl watch
 *
 * One line of JSON per event, from the present state on, until the daemon ends.
 */
#include <stdlib.h>

#include "command.h"
#include "inferd/client.h"
#include "output.h"

static int print_frame(void *context, const char *json, size_t len)
{
    return !output_line(context, json, len);
}

static int run(struct args *args)
{
    if (!args_nothing_more(args))
        return args->exit_code;
    struct output out;
    struct inferd_error error;
    output_init(&out, STDOUT_FILENO);
    enum inferd_status status =
        inferd_watch(getenv("INFERD_ADMIN_ADDR"), 1, print_frame, &out, &error);
    if (status == INFERD_LOST)
        return error_with(TROUBLE, "admin socket closed");
    if (status)
        return complain_with(TROUBLE, "%s", error.message);
    return output_verdict(&out, TROUBLE);
}

const struct command command_watch = {
    .name = "watch",
    .words = "",
    .summary = "follow the daemon's state, one line of JSON per event",
    .help = "Prints one line of JSON per event, beginning with the present state.  When the\n"
            "daemon ends, it ends with 2.\n",
    .run = run,
};
