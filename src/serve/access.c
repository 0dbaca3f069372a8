/*
 * access.c - see access.h.
 */
#include "serve/access.h"

#include <errno.h>
#include <sys/socket.h>

static bool lists(const struct id_list *list, uint32_t id)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->at[i] == id)
            return true;
    return false;
}

/* Its supplementary groups, from malloc(); NULL if there are none to be had. */
static gid_t *groups_of(int fd, size_t *ret_n)
{
    socklen_t len = 0;
    gid_t *groups = NULL;
    /* The first call only says how much room it takes. */
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) < 0 && errno == ERANGE)
        groups = malloc(len);
    if (groups && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0) {
        free(groups);
        groups = NULL;
    }
    *ret_n = groups ? len / sizeof *groups : 0;
    return groups;
}

static bool in_listed_group(const struct id_list *gids, const struct peer *peer, int fd)
{
    if (lists(gids, peer->gid))
        return true;
    size_t n;
    CLEANUP(free_ptr) gid_t *groups = groups_of(fd, &n);
    for (size_t i = 0; i < n; i++)
        if (lists(gids, groups[i]))
            return true;
    return false;
}

bool access_allows(const struct config *config, const struct peer *peer, int fd)
{
    if (config->allow_uids.n == 0 && config->allow_gids.n == 0)
        return true;
    if (peer->uid == geteuid() || peer->uid == 0)
        return true;
    return lists(&config->allow_uids, peer->uid) ||
           (config->allow_gids.n > 0 && in_listed_group(&config->allow_gids, peer, fd));
}
