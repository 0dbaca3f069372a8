/*
 * lifecycle.h - what the daemon as a whole is doing, said to the admin socket.
 *
 * Its state is that of its best backend: ready as long as one is.
 */
#pragma once

#include "core/core.h"
#include "serve/admin.h"

/* A backend's state or phase has changed: say what follows from it.  READY is told
 * only if `serving`, that is, once the sockets accept. */
void lifecycle_backend_changed(struct admin *a, const struct core *core,
                               const struct backend *changed, bool serving);

/* Backends have come or gone. */
void lifecycle_configured(struct admin *a, const struct core *core, bool serving);

/* A line of inferd-fetch, which makes a backend's model present: told and logged.  One that
 * says why it failed fills `why`. */
void lifecycle_backend_prepares(struct admin *a, const struct core *core, const struct backend *b,
                                const char *line, size_t len, struct error *why);

/* Is there a backend that takes requests? */
bool lifecycle_ready(const struct core *core);
