/*
 * landlock.c - a ruleset, a rule for each grant, and the thread is inside.
 *
 * A ruleset names the rights that it takes away ("handled"), rules give some of them
 * back.  Rights that a kernel does not know yet can't be named to it.
 */
#include "landlock.h"

#include <fcntl.h>
#include <sys/syscall.h>

/* The same numbers on every architecture. */
enum {
    SYS_CREATE_RULESET = 444,
    SYS_ADD_RULE = 445,
    SYS_RESTRICT_SELF = 446,
};

enum {
    CREATE_RULESET_VERSION = 1,
    RULE_PATH_BENEATH = 1,
    RULE_NET_PORT = 2,
};

enum {
    FS_EXECUTE = 1 << 0,
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_OF_VERSION_1 = (1 << 13) - 1,
    FS_REFER = 1 << 13,
    FS_TRUNCATE = 1 << 14,
    FS_IOCTL_DEV = 1 << 15,

    NET_CONNECT_TCP = 1 << 1,
    NET_ALL = 3,   /* and to bind */
    SCOPE_ALL = 3, /* abstract sockets and signals end at the sandbox */
};

struct ruleset {
    uint64_t fs;
    uint64_t net;   /* from version 4 on */
    uint64_t scope; /* from version 6 on */
};

struct path_rule {
    uint64_t allowed;
    int32_t parent_fd;
} __attribute__((packed));

struct port_rule {
    uint64_t allowed;
    uint64_t port;
};

int landlock_version(void)
{
    long version = syscall(SYS_CREATE_RULESET, NULL, 0, CREATE_RULESET_VERSION);
    return version > 0 ? (int)version : 0;
}

static uint64_t rights_of(int version)
{
    return FS_OF_VERSION_1 | (version >= 2 ? FS_REFER : 0u) | (version >= 3 ? FS_TRUNCATE : 0u) |
           (version >= 5 ? FS_IOCTL_DEV : 0u);
}

static int create(int version)
{
    struct ruleset r = { .fs = rights_of(version), .net = NET_ALL, .scope = SCOPE_ALL };
    size_t size = version >= 6   ? sizeof r
                  : version >= 4 ? offsetof(struct ruleset, scope)
                                 : offsetof(struct ruleset, net);
    return (int)syscall(SYS_CREATE_RULESET, &r, size, 0);
}

static enum err grant(int ruleset, const char *const *directories, uint64_t rights,
                      struct error *error)
{
    for (; directories && *directories; directories++) {
        CLEANUP(close_fd) int fd = open(*directories, O_PATH | O_CLOEXEC);
        if (fd < 0)
            continue;
        struct path_rule rule = { .allowed = rights, .parent_fd = fd };
        if (syscall(SYS_ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0) < 0)
            return fail_sys(error, "Landlock won't allow '%s'", *directories);
    }
    return OK;
}

static enum err grant_ports(int ruleset, const struct landlock_grants *grants, struct error *error)
{
    for (size_t i = 0; i < grants->n_ports; i++) {
        struct port_rule rule = { .allowed = NET_CONNECT_TCP, .port = grants->ports[i] };
        if (syscall(SYS_ADD_RULE, ruleset, RULE_NET_PORT, &rule, 0) < 0)
            return fail_sys(error, "Landlock won't allow port %u", grants->ports[i]);
    }
    return OK;
}

enum err landlock_restrict(int version, const struct landlock_grants *grants, struct error *error)
{
    static const uint64_t reading = FS_EXECUTE | FS_READ_FILE | FS_READ_DIR;
    uint64_t controlling = reading | FS_WRITE_FILE | (rights_of(version) & FS_IOCTL_DEV);
    CLEANUP(close_fd) int ruleset = create(version);
    if (ruleset < 0)
        return fail_sys(error, "Landlock can't be set up");
    enum err e = grant(ruleset, grants->readable, reading, error);
    if (!e)
        e = grant(ruleset, grants->devices, controlling, error);
    if (!e && version >= 4)
        e = grant_ports(ruleset, grants, error);
    if (!e && syscall(SYS_RESTRICT_SELF, ruleset, 0) < 0)
        return fail_sys(error, "Landlock can't be entered");
    return e;
}
