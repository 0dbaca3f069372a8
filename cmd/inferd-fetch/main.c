/*
 * inferd-fetch - makes one model present in the store and ends.
 *
 * Progress goes to standard output (events.h), sentences for people to standard error, and
 * the exit code says how it ended (outcome.h).  It keeps nothing in memory that a kill could
 * lose: the next run goes on where this one was.
 */
#include <signal.h>

#include "base/log.h"
#include "fetch.h"
#include "url.h"

/* A closed pipe and a limit on file sizes are errors of write(), not the end. */
static enum outcome ignore_signals(struct error *error)
{
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
        return give_up(error, BROKEN, "cannot ignore signals");
    return PRESENT;
}

int main(int argc, char **argv)
{
    struct options options = { .url = NULL };
    struct error error = { .code = OK };
    char source[URL_SHOWN_MAX] = "";
    struct events events = { .source_url = source };
    bool end = false;

    log_init("inferd-fetch", LOG_INFO);
    enum outcome outcome = ignore_signals(&error);
    if (!outcome)
        outcome = options_read(argc, argv, &options, &end, &error);
    if (!outcome && !end) {
        url_show(options.url ? options.url : "", source);
        outcome = fetch_run(&options, &events, &error);
    }
    if (outcome) {
        log_error("%s", error.message);
        events_failed(&events, outcome, error.message);
    }
    return (int)outcome;
}
