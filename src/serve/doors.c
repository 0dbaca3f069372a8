/*
 * doors.c - see doors.h.
 */
#include "serve/doors.h"

#include "base/log.h"

enum { SOCKET_MODE = 0660 };

static const struct door {
    const char *name; /* in `listen`; systemd calls its socket so, too */
    const struct surface *surface;
    bool tcp;
    size_t where; /* in struct config: the path or the address; NULL: closed */
} table[] = {
    { "generate", &surface_v1, false, offsetof(struct config, infer_path) },
    { "tcp", &surface_v1, true, offsetof(struct config, tcp) },
};
_Static_assert(ARRAY_LEN(table) == DOORS, "a row, a door");

static void on_connection(void *owner, int fd)
{
    struct open_door *door = owner;
    clients_accept(door->clients, fd, &door->entrance);
}

static enum err open_one(struct open_door *door, const struct door *row, struct io *io, gid_t group,
                         struct activation *activation, struct error *error)
{
    const char *where = *(char *const *)((const char *)door->clients->config + row->where);
    if (!where)
        return OK;
    int fd = activation_take(activation, row->name, where);
    enum err e;
    if (fd >= 0)
        e = listener_adopt(io, fd, on_connection, door, &door->listener, error);
    else if (row->tcp)
        e = listener_open_tcp(io, where, on_connection, door, &door->listener, error);
    else
        e = listener_open(io, where, SOCKET_MODE, group, on_connection, door, &door->listener,
                          error);
    if (!e)
        log_info("%s is served at %s%s", row->surface->name, where,
                 fd >= 0 ? ", by the socket of systemd" : "");
    return e;
}

enum err doors_open(struct doors *doors, struct io *io, struct clients *clients, gid_t group,
                    struct activation *activation, struct error *error)
{
    enum err e = OK;
    for (size_t i = 0; !e && i < DOORS; i++) {
        doors->at[i].clients = clients;
        doors->at[i].entrance = (struct entrance){ table[i].surface, table[i].tcp };
        e = open_one(&doors->at[i], &table[i], io, group, activation, error);
    }
    return e;
}

void doors_close(struct doors *doors)
{
    for (size_t i = 0; i < DOORS; i++)
        listener_close(TAKE(doors->at[i].listener));
}
