/*
 * digester.h - a thread that hashes a file while it grows.
 *
 *     e = digester_new(fd, &d, error);
 *     digester_advance(d, prefix);             // as often as there is more
 *     e = digester_finish(d, size, &digest, error);
 *
 * It reads what was written, through the page cache, and so judges the file and not what
 * came off the network.
 */
#pragma once

#include "store/digest.h"

struct digester;

/* `fd` is borrowed and must outlive the digester; its offset is not used. */
enum err digester_new(int fd, struct digester **ret, struct error *error) MUST_USE;

/* Ends the thread.  NULL is fine. */
void digester_free(struct digester *d);

/* The first `prefix` bytes will not change any more, unless digester_restart() comes. */
void digester_advance(struct digester *d, uint64_t prefix);

/* Forget everything: the file is about to be written anew.  Nothing of it is being read
 * when this returns. */
enum err digester_restart(struct digester *d, struct error *error) MUST_USE;

/* Wait until `size` bytes are hashed.  Call once.  ERR_SYSTEM if they can't be read. */
enum err digester_finish(struct digester *d, uint64_t size, struct digest *ret,
                         struct error *error) MUST_USE;
