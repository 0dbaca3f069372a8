/*
 * staging.h - one file on its way into the store: locks/.import-<name>.
 *
 *     CLEANUP(staging_done) struct staging st = STAGING_NONE;
 *     e = staging_take(&st, s, name, source_fd, path, link, progress, error);
 *     ... is st.digest the right one? ...
 *     e = staging_verify(&st, progress, error);
 *     e = staging_publish(&st, error);
 *
 * For this folder only.  The caller holds the name's lock.
 */
#pragma once

#include "store/import.h"
#include "store/name.h"

struct staging {
    const struct store *store; /* borrowed; NULL: there is nothing to remove */
    char file[MODEL_NAME_MAX + sizeof ".import-"];
    int fd;
    enum taken how;
    struct digest digest;
    uint64_t size;
};

#define STAGING_NONE                                                                               \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

/* Bring the open file there by the cheapest safe way (`link`: a hard link is one), and
 * hash it. */
enum err staging_take(struct staging *st, const struct store *s, const char *name, int source,
                      const char *path, bool link, const struct progress *p,
                      struct error *error) MUST_USE;

/* A copy was hashed while it was written; hash what was written, through the descriptor
 * that wrote it.  ERR_MISMATCH. */
enum err staging_verify(struct staging *st, const struct progress *p, struct error *error) MUST_USE;

/* Make it the blob of its digest; one that is there is replaced. */
enum err staging_publish(struct staging *st, struct error *error) MUST_USE;

/* Remove what was not published. */
void staging_done(struct staging *st);
