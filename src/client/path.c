/*
 * path.c - where the daemon's sockets lie.
 *
 * The daemon looks in the same places in the same order; that is the whole
 * agreement between the two, so nothing here asks whether anything exists.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "inferd/client.h"

/* A program that runs with other rights than its caller's must not be led astray by
 * its caller's environment. */
static const char *variable(const char *name)
{
    const char *value = secure_getenv(name);
    return value && value[0] ? value : NULL;
}

enum inferd_status inferd_socket_path(const char *name, char *path, size_t size)
{
    const char *directory;
    int n;
    if ((directory = variable("INFERD_RUNTIME_DIR")))
        n = snprintf(path, size, "%s/%s", directory, name);
    else if ((directory = variable("XDG_RUNTIME_DIR")))
        n = snprintf(path, size, "%s/inferd/%s", directory, name);
    else if ((directory = variable("HOME")))
        n = snprintf(path, size, "%s/.inferd/run/%s", directory, name);
    else
        n = snprintf(path, size, "/tmp/inferd-%u/%s", (unsigned)geteuid(), name);
    return n >= 0 && (size_t)n < size ? INFERD_OK : INFERD_INVALID;
}
