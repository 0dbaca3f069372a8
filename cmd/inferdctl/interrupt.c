/*
 * interrupt.c - see interrupt.h.
 */
#include "interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static struct inferd_client *_Atomic guarded;
static _Atomic pid_t child_to_tell;
static volatile sig_atomic_t asked_for;
static volatile sig_atomic_t arrived;

static void on_signal(int signal)
{
    struct inferd_client *client = atomic_load(&guarded);
    pid_t child = atomic_load(&child_to_tell);
    if (!client && !child && !asked_for)
        _exit(128 + signal);
    arrived = signal;
    if (client)
        inferd_abort(client);
    if (child)
        kill(child, signal);
}

void interrupt_install(void)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL); /* cannot fail for these two */
    sigaction(SIGTERM, &action, NULL);
}

void interrupt_guard(struct inferd_client *client)
{
    atomic_store(&guarded, client);
}

void interrupt_pass_on(pid_t child)
{
    atomic_store(&child_to_tell, child);
}

void interrupt_is_asked_for(bool asked)
{
    asked_for = asked;
}

int interrupt_code(void)
{
    return arrived ? 128 + arrived : 0;
}
