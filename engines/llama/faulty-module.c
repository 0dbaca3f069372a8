/*
 * faulty-module.c - a CPU module for tests: the best of all by its own word, and then
 * it faults, as instructions do that a virtual machine only advertises.
 */
#include <signal.h>

int ggml_backend_score(void);
void *ggml_backend_init(void);

int ggml_backend_score(void)
{
    return 1000000;
}

void *ggml_backend_init(void)
{
    raise(SIGILL);
    return 0;
}
