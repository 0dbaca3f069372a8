/*
 * rundir.c - where sockets lie, and whose they are.
 */
#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "daemon/daemon.h"

static enum err find_group(const char *name, gid_t *ret, struct error *error)
{
    *ret = (gid_t)-1;
    if (!name)
        return OK;
    errno = 0;
    const struct group *g = getgrnam(name);
    if (!g)
        return fail(error, ERR_CONFIG, "group not found: %.80s", name);
    *ret = g->gr_gid;
    return OK;
}

/* A directory of sockets must be ours alone to change: whoever could swap them would be
 * taken for us. */
static enum err check_directory(const struct daemon *d, const char *path, struct error *error)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return fail_sys(error, "cannot look at the runtime directory '%s'", path);
    if (!S_ISDIR(st.st_mode))
        return fail(error, ERR_CONFIG, "the runtime directory '%s' is no directory", path);
    if (st.st_uid != geteuid())
        return fail(error, ERR_CONFIG, "the runtime directory '%s' belongs to user %u", path,
                    (unsigned)st.st_uid);
    if (st.st_mode & S_IWOTH)
        return fail(error, ERR_CONFIG, "the runtime directory '%s' can be written by everybody",
                    path);
    /* A socket that others may use must be reachable for them, but not listed. */
    bool shared = d->group != (gid_t)-1 || d->config.allow_uids.n || d->config.allow_gids.n;
    if (shared && (chown(path, (uid_t)-1, d->group) < 0 || chmod(path, 0710) < 0))
        return fail_sys(error, "cannot open the runtime directory '%s' to the group", path);
    return OK;
}

/* The runtime directory, if anything lies in it, and those that paths of their own name. */
static enum err make_directories_of(const struct daemon *d, struct error *error)
{
    const struct config *c = &d->config;
    const char *const paths[] = { c->lock_path, c->infer_path, c->admin_path };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        if (!paths[i])
            continue;
        CLEANUP(free_ptr) char *dir = strdup(paths[i]);
        if (!dir)
            return fail_nomem(error);
        char *slash = strrchr(dir, '/'); /* the paths are absolute */
        slash[slash == dir] = '\0';
        enum err e = make_directories(dir, error);
        if (!e && strcmp(dir, c->runtime_dir) == 0)
            e = check_directory(d, dir, error);
        if (e)
            return e;
    }
    return OK;
}

enum err daemon_make_place(struct daemon *d, struct error *error)
{
    enum err e = find_group(d->config.group, &d->group, error);
    return e ? e : make_directories_of(d, error);
}
