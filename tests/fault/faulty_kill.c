/*
 * faulty_kill.c - processes that can't be ended, for LD_PRELOAD: as if each waited for a
 * disk that does not answer, as long as the file exists that FAULTY_KILL names.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int kill(pid_t pid, int number)
{
    const char *path = getenv("FAULTY_KILL");
    if (number == SIGKILL && path && access(path, F_OK) == 0)
        return 0;
    return (int)syscall(SYS_kill, pid, number);
}
