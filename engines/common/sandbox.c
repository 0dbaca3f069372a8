/*
 * sandbox.c - Landlock around, and two filters of system calls.
 *
 * A filter is a list of what there is; every other call fails with ENOSYS, as in a
 * kernel that never had it, which libraries know how to live with.  (So clone3(), whose
 * flags a filter can't see, falls back to clone(), whose flags it can.)  A few calls have
 * no place in an engine that is its own master: they end it.
 *
 * The second filter's list is a part of the first one's.  Of two filters the kernel
 * obeys the stricter.
 */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#include "landlock.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

bool sandbox_mode_from_name(const char *name, enum sandbox_mode *ret)
{
    static const char *const names[] = {
        [SANDBOX_AUTO] = "auto", [SANDBOX_OFF] = "off", [SANDBOX_REQUIRE] = "require"
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0) {
            *ret = (enum sandbox_mode)i;
            return true;
        }
    return false;
}

struct sandbox_kernel sandbox_probe(void)
{
    if (SANITIZED)
        return (struct sandbox_kernel){ .lacking = "this build watches itself with a sanitizer" };
    struct sandbox_kernel k = {
        .landlock = landlock_version(),
        .seccomp = prctl(PR_GET_SECCOMP) >= 0 && seccomp_api_get() >= 2,
    };
    if (!k.seccomp)
        k.lacking = "the kernel has no seccomp filters";
    else if (k.landlock == 0)
        k.lacking = "the kernel has no Landlock, or it is off (lsm=landlock)";
    return k;
}

/* --- what is allowed ------------------------------------------------------- */

enum {
    LOADING = 1,
    SERVING = 2,
    ALWAYS = LOADING | SERVING,
    GPU = 4, /* only with one, at all times */
    NET = 8, /* only with servers to connect to, at all times */
};

enum { FILES_CHANGE = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND };

struct allowed {
    const char *call;
    unsigned when;
    unsigned argument; /* must be `value` under `mask`; a mask of 0: may be anything */
    uint64_t mask, value;
};

#define EXACTLY UINT64_MAX

/* clang-format off */
static const struct allowed list[] = {
    /* memory, none of it executable */
    { "brk",                    ALWAYS, 0, 0, 0 },
    { "mmap",                   ALWAYS, 2, PROT_EXEC, 0 },
    { "mprotect",               ALWAYS, 2, PROT_EXEC, 0 },
    { "mmap",                   GPU,    0, 0, 0 },
    { "mprotect",               GPU,    0, 0, 0 },
    { "mremap",                 ALWAYS, 0, 0, 0 },
    { "munmap",                 ALWAYS, 0, 0, 0 },
    { "madvise",                ALWAYS, 0, 0, 0 },
    { "mincore",                ALWAYS, 0, 0, 0 },
    { "mlock",                  ALWAYS, 0, 0, 0 },
    { "munlock",                ALWAYS, 0, 0, 0 },
    { "membarrier",             ALWAYS, 0, 0, 0 },

    /* threads, no processes */
    { "clone",                  ALWAYS, 0, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM },
    { "set_robust_list",        ALWAYS, 0, 0, 0 },
    { "rseq",                   ALWAYS, 0, 0, 0 },
    { "futex",                  ALWAYS, 0, 0, 0 },
    { "gettid",                 ALWAYS, 0, 0, 0 },
    { "getpid",                 ALWAYS, 0, 0, 0 },
    { "sched_yield",            ALWAYS, 0, 0, 0 },
    { "sched_getaffinity",      ALWAYS, 0, 0, 0 },
    { "sched_setaffinity",      ALWAYS, 0, 0, 0 },
    { "sched_getscheduler",     ALWAYS, 0, 0, 0 },
    { "sched_getparam",         ALWAYS, 0, 0, 0 },
    { "getcpu",                 ALWAYS, 0, 0, 0 },
    { "prctl",                  ALWAYS, 0, EXACTLY, PR_SET_NAME },
    { "prctl",                  ALWAYS, 0, EXACTLY, 0x53564d41 /* PR_SET_VMA: names of memory */ },
    { "arch_prctl",             LOADING, 0, 0, 0 }, /* asking for AMX */
    { "exit",                   ALWAYS, 0, 0, 0 },
    { "exit_group",             ALWAYS, 0, 0, 0 },

    /* signals, and sleep */
    { "rt_sigaction",           ALWAYS, 0, 0, 0 },
    { "rt_sigprocmask",         ALWAYS, 0, 0, 0 },
    { "rt_sigreturn",           ALWAYS, 0, 0, 0 },
    { "sigaltstack",            ALWAYS, 0, 0, 0 },
    { "restart_syscall",        ALWAYS, 0, 0, 0 },
    { "nanosleep",              ALWAYS, 0, 0, 0 },
    { "clock_nanosleep",        ALWAYS, 0, 0, 0 },
    { "clock_gettime",          ALWAYS, 0, 0, 0 },
    { "clock_getres",           ALWAYS, 0, 0, 0 },
    { "gettimeofday",           ALWAYS, 0, 0, 0 },
    { "time",                   ALWAYS, 0, 0, 0 },

    /* what is open */
    { "read",                   ALWAYS, 0, 0, 0 },
    { "readv",                  ALWAYS, 0, 0, 0 },
    { "pread64",                ALWAYS, 0, 0, 0 },
    { "write",                  ALWAYS, 0, 0, 0 },
    { "writev",                 ALWAYS, 0, 0, 0 },
    { "lseek",                  ALWAYS, 0, 0, 0 },
    { "close",                  ALWAYS, 0, 0, 0 },
    { "fstat",                  ALWAYS, 0, 0, 0 },
    { "newfstatat",             ALWAYS, 0, 0, 0 },
    { "statx",                  ALWAYS, 0, 0, 0 },
    { "poll",                   ALWAYS, 0, 0, 0 },
    { "ppoll",                  ALWAYS, 0, 0, 0 },
    { "recvfrom",               ALWAYS, 0, 0, 0 },
    { "sendto",                 ALWAYS, 4, EXACTLY, 0 }, /* to whom it is connected, nobody else */
    { "getsockopt",             ALWAYS, 0, 0, 0 },
    { "ioctl",                  ALWAYS, 1, EXACTLY, TCGETS }, /* is it a terminal? */
    { "ioctl",                  GPU,    0, 0, 0 },
    { "dup",                    LOADING, 0, 0, 0 },
    { "fcntl",                  LOADING, 0, 0, 0 },
    { "fadvise64",              LOADING, 0, 0, 0 },
    { "readahead",              LOADING, 0, 0, 0 },

    /* files, for reading; Landlock says which */
    { "open",                   LOADING | GPU, 1, FILES_CHANGE, 0 },
    { "openat",                 LOADING | GPU, 2, FILES_CHANGE, 0 },
    { "access",                 LOADING | GPU, 0, 0, 0 },
    { "faccessat",              LOADING | GPU, 0, 0, 0 },
    { "faccessat2",             LOADING | GPU, 0, 0, 0 },
    { "stat",                   LOADING | GPU, 0, 0, 0 },
    { "lstat",                  LOADING | GPU, 0, 0, 0 },
    { "readlink",               LOADING | GPU, 0, 0, 0 },
    { "readlinkat",             LOADING | GPU, 0, 0, 0 },
    { "getdents64",             LOADING | GPU, 0, 0, 0 },
    { "getcwd",                 LOADING | GPU, 0, 0, 0 },

    /* what machine this is */
    { "uname",                  ALWAYS, 0, 0, 0 },
    { "sysinfo",                ALWAYS, 0, 0, 0 },
    { "getrandom",              ALWAYS, 0, 0, 0 },
    { "getrusage",              ALWAYS, 0, 0, 0 },
    { "getuid",                 ALWAYS, 0, 0, 0 },
    { "geteuid",                ALWAYS, 0, 0, 0 },
    { "getgid",                 ALWAYS, 0, 0, 0 },
    { "getegid",                ALWAYS, 0, 0, 0 },
    { "prlimit64",              ALWAYS, 2, EXACTLY, 0 }, /* to look */

    /* the way to the second filter */
    { "seccomp",                LOADING, 0, 0, 0 },
    { "prctl",                  LOADING, 0, EXACTLY, PR_GET_SECCOMP },

    /* a GPU's driver: device files that it maps, watches and hands on */
    { "openat",                 GPU, 0, 0, 0 },
    { "dup",                    GPU, 0, 0, 0 },
    { "fcntl",                  GPU, 0, 0, 0 },
    { "pipe2",                  GPU, 0, 0, 0 },
    { "eventfd2",               GPU, 0, 0, 0 },
    { "epoll_create1",          GPU, 0, 0, 0 },
    { "epoll_ctl",              GPU, 0, 0, 0 },
    { "epoll_wait",             GPU, 0, 0, 0 },
    { "memfd_create",           GPU, 0, 0, 0 },
    { "ftruncate",              GPU, 0, 0, 0 },
    { "statfs",                 GPU, 0, 0, 0 },
    { "get_mempolicy",          GPU, 0, 0, 0 },
    { "mbind",                  GPU, 0, 0, 0 },

    /* a connection to a server of ours, never from somebody */
    { "connect",                NET, 0, 0, 0 },
    { "setsockopt",             NET, 0, 0, 0 },
    { "shutdown",               NET, 0, 0, 0 },
    { "getsockname",            NET, 0, 0, 0 },
    { "getpeername",            NET, 0, 0, 0 },
};
/* clang-format on */

/* Nothing here asks for these. */
static const char *const deadly[] = {
    "execve",
    "execveat",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "bpf",
    "io_uring_setup",
    "userfaultfd",
    "perf_event_open",
    "mount",
    "unshare",
    "setns",
    "init_module",
    "finit_module",
    "kexec_load",
    "keyctl",
    "add_key",
    "open_by_handle_at",
    "pidfd_getfd",
    "kcmp",
};

/* --- a filter -------------------------------------------------------------- */

static void release(scmp_filter_ctx *filter)
{
    seccomp_release(*filter);
}

static int add_allowed(scmp_filter_ctx filter, const struct allowed *a)
{
    int call = seccomp_syscall_resolve_name(a->call);
    if (call < 0)
        return 0; /* not on this architecture */
    if (a->mask == 0)
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
    enum scmp_compare how = a->mask == EXACTLY ? SCMP_CMP_EQ : SCMP_CMP_MASKED_EQ;
    struct scmp_arg_cmp condition = { .arg = a->argument, .op = how };
    condition.datum_a = a->mask == EXACTLY ? a->value : a->mask;
    condition.datum_b = a->mask == EXACTLY ? 0 : a->value;
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &condition);
}

/* abort() means its own process; nobody else is anybody's business here. */
static int add_own_signals(scmp_filter_ctx filter)
{
    struct scmp_arg_cmp to_us = SCMP_A0_64(SCMP_CMP_EQ, (scmp_datum_t)getpid());
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, &to_us);
}

/* TCP: what goes where, Landlock says.  It says nothing of other protocols. */
static int add_sockets(scmp_filter_ctx filter)
{
    struct scmp_arg_cmp tcp[] = {
        SCMP_A0_64(SCMP_CMP_EQ, AF_INET),
        SCMP_A1_64(SCMP_CMP_MASKED_EQ, (scmp_datum_t) ~(SOCK_CLOEXEC | SOCK_NONBLOCK), SOCK_STREAM),
        SCMP_A2_64(SCMP_CMP_EQ, 0),
    };
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), ARRAY_LEN(tcp), tcp);
}

static int add_deadly(scmp_filter_ctx filter)
{
    int failed = 0;
    for (size_t i = 0; !failed && i < ARRAY_LEN(deadly); i++) {
        int call = seccomp_syscall_resolve_name(deadly[i]);
        if (call >= 0)
            failed = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, call, 0);
    }
    return failed;
}

/* The cost of the speculation barrier that older kernels tie to a filter is not worth
 * it: there is one tenant here. */
static int set_up(scmp_filter_ctx filter)
{
    int failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
    if (!failed)
        failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (!failed && seccomp_api_get() >= 4)
        failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    return failed ? failed : seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
}

static enum err install(const struct sandbox_plan *plan, unsigned when, struct error *error)
{
    CLEANUP(release) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!filter)
        return fail_nomem(error);
    when |= (plan->gpu ? GPU : 0u) | (plan->n_ports > 0 ? NET : 0u);
    int failed = set_up(filter);
    for (size_t i = 0; !failed && i < ARRAY_LEN(list); i++)
        if (list[i].when & when)
            failed = add_allowed(filter, &list[i]);
    if (!failed)
        failed = add_own_signals(filter);
    if (!failed && when & NET)
        failed = add_sockets(filter);
    if (!failed)
        failed = add_deadly(filter);
    if (!failed)
        failed = seccomp_load(filter);
    if (failed) {
        errno = -failed;
        return fail_sys(error, "the filter of system calls can't be put in force");
    }
    return OK;
}

/* --- the doors ------------------------------------------------------------- */

static enum err enter_landlock(const struct sandbox_plan *plan, int version, struct error *error)
{
    static const char *const readable[] = { "/usr", "/lib",  "/lib64", "/opt", "/etc",
                                            "/sys", "/proc", "/dev",   NULL };
    static const char *const devices[] = { "/dev", NULL };
    struct landlock_grants grants = { .ports = plan->ports, .n_ports = plan->n_ports };
    if (plan->gpu) {
        grants.readable = readable;
        grants.devices = devices;
    }
    return landlock_restrict(version, &grants, error);
}

/* What is looked up once in a process's life has to be looked up before.  Without TZ,
 * the file is opened again for each localtime(). */
static void look_around(void)
{
    setenv("TZ", ":/etc/localtime", 0);
    tzset();
}

enum err sandbox_enter(struct sandbox *s, const struct sandbox_plan *plan,
                       const struct sandbox_kernel *kernel, struct error *error)
{
    *s = (struct sandbox){ .plan = *plan };
    if (plan->mode == SANDBOX_OFF)
        return OK;
    if (plan->mode == SANDBOX_REQUIRE && kernel->lacking)
        return fail(error, ERR_CONFIG, "a sandbox is required and can't be had: %s",
                    kernel->lacking);
    look_around();
    if ((kernel->landlock || kernel->seccomp) &&
        (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0))
        return fail_sys(error, "privileges can't be given up");
    enum err e = kernel->landlock ? enter_landlock(plan, kernel->landlock, error) : OK;
    if (!e && kernel->seccomp)
        e = install(plan, LOADING, error);
    if (e)
        return e;
    s->landlock = kernel->landlock > 0;
    s->seccomp = kernel->seccomp;
    s->lacking = kernel->lacking;
    return OK;
}

enum err sandbox_tighten(struct sandbox *s, struct error *error)
{
    return s->seccomp ? install(&s->plan, SERVING, error) : OK;
}

void sandbox_describe(const struct sandbox *s, char *ret, size_t size)
{
    bool any = s->landlock || s->seccomp;
    const char *relaxed = !any              ? ""
                          : s->plan.gpu     ? ", open to a GPU"
                          : s->plan.n_ports ? ", open to RPC servers"
                                            : "";
    snprintf(ret, size, "%s%s%s%s%s%s%s", s->landlock ? "landlock" : "",
             s->landlock && s->seccomp ? "+" : "",
             s->seccomp ? "seccomp"
             : any      ? ""
                        : "off",
             s->lacking ? " (" : "", s->lacking ? s->lacking : "", s->lacking ? ")" : "", relaxed);
}
