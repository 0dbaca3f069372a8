/*
 * interrupt.h - Ctrl-C and SIGTERM.
 *
 * A signal ends the request on the guarded connection, so that the command can put
 * its output in order and end by itself; with no connection to guard it ends the
 * program at once.  A second signal of the kind always does.
 */
#pragma once

#include "inferd/client.h"

/* Call once, at the start of a command that wants this. */
void interrupt_install(void);

/* NULL: no connection. */
void interrupt_guard(struct inferd_client *client);

/* 128 plus the signal that came, as a shell would say it; 0 if none did. */
int interrupt_code(void);
