/*
 * interrupt.c - see interrupt.h.
 */
#include "interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static struct inferd_client *_Atomic guarded;
static volatile sig_atomic_t arrived;

static void on_signal(int signal)
{
    struct inferd_client *client = atomic_load(&guarded);
    if (!client)
        _exit(128 + signal);
    arrived = signal;
    inferd_abort(client);
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

int interrupt_code(void)
{
    return arrived ? 128 + arrived : 0;
}
