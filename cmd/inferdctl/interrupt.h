/*
 * interrupt.h - Ctrl-C and SIGTERM.
 *
 * A signal ends what the program is at: the request on the guarded connection, the child
 * that it is passed on to, or the work that asks interrupt_code() now and then.  So the
 * command can put its output in order and end by itself.  With nothing of the kind it ends
 * the program at once.  A second signal always does.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "inferd/client.h"

/* Call once, at the start of a command that wants this. */
void interrupt_install(void);

/* NULL: no connection. */
void interrupt_guard(struct inferd_client *client);

/* 0: no child.  It must not have been waited for yet. */
void interrupt_pass_on(pid_t child);

/* Somebody asks interrupt_code(). */
void interrupt_is_asked_for(bool asked);

/* 128 plus the signal that came, as a shell would say it; 0 if none did. */
int interrupt_code(void);
