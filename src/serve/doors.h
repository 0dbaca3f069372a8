/*
 * doors.h - every way in for clients: one table.
 *
 * A row says which surface is spoken behind it, whether it is a Unix socket or TCP, and
 * where in the configuration it is named.  A new surface is a new row.
 */
#pragma once

#include "serve/activation.h"
#include "serve/clients.h"
#include "serve/listen.h"

enum { DOORS = 2 };

/* One that is open. */
struct open_door {
    struct listener *listener;
    struct clients *clients;
    struct entrance entrance;
};

struct doors {
    struct open_door at[DOORS];
};

/* Open those that the configuration asks for; where systemd has made the socket already, it
 * is that one.  On failure some may be open; close them. */
enum err doors_open(struct doors *doors, struct io *io, struct clients *clients, gid_t group,
                    struct activation *activation, struct error *error) MUST_USE;
void doors_close(struct doors *doors);
