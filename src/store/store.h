/*
 * store.h - the models of this machine, each under the digest of its bytes.
 *
 *     ROOT/blobs/sha256/aa/<64 hex>/data               a whole, verified file
 *     ROOT/blobs/sha256/aa/.partial-<64 hex>/data.tmp  one in the making (partial.h)
 *     ROOT/manifests/<name>.json                       which blob a name means (manifest.h)
 *     ROOT/locks/<name>.lock                           who works on a name
 *     ROOT/locks/.import-<name>                        a file on its way in (import.h)
 *     ROOT/locks/.gc                                   shared by writers, exclusive for gc
 *     ROOT/locks/quarantine/<time>-<reason>.bin        bytes that were wrong
 *
 *     struct store s;
 *     e = store_open(&s, root, error);         // reads only; makes nothing
 *     e = store_begin_write(&s, error);        // makes what is missing, holds gc off
 *     ...
 *     store_done(&s);
 *
 * The directories are opened once and everything below them by name relative to their
 * descriptors, without following symbolic links: a link planted inside the store is
 * ERR_CONFIG and a sentence that names it.  (ROOT itself may be reached through links:
 * where the store lies is its owner's choice.)  What is made is 0600 and 0700.
 *
 * Other programs may write to the same store at the same time; the locks are flock()s,
 * end with their process, and are not inherited by children.
 */
#pragma once

#include <limits.h>

#include "store/digest.h"

/* Room for any path in a store; a root that leaves none is refused by store_open(). */
enum { STORE_PATH_MAX = PATH_MAX };

struct store {
    char *root;       /* as it was given; owned */
    int root_fd;      /* these are -1 while there is no such directory */
    int blobs_fd;     /* ROOT/blobs/sha256 */
    int manifests_fd; /* ROOT/manifests */
    int locks_fd;     /* ROOT/locks */
    int gc_fd;        /* the shared lock of a writer; -1: reading only */
};

/*
 * Where the store is: `configured` (NULL or "": not configured; a leading "~/" is the home
 * directory), else $MODELS_HOME, else $XDG_DATA_HOME/models, else
 * $HOME/.local/share/models.  The path is the caller's.
 *
 * ERR_CONFIG  $HOME is needed and not set
 */
enum err store_find(const char *configured, char **ret_root, struct error *error) MUST_USE;

/* For reading.  A store that does not exist opens, too, and is empty.  `*s` is to be ended
 * with store_done() after OK only. */
enum err store_open(struct store *s, const char *root, struct error *error) MUST_USE;

/* Make the directories that are missing and keep gc away until store_done(); waits while
 * one is at work.  May be called again: does nothing then. */
enum err store_begin_write(struct store *s, struct error *error) MUST_USE;

void store_done(struct store *s);

/* --- locks ------------------------------------------------------------------ */

/*
 * The lock of a name, held until the descriptor is closed.  Needs store_begin_write().
 * `doing` completes the sentence `model "<name>" is being <doing> by another process`:
 * "fetched", "written".  With `wait`, a signal handler without SA_RESTART ends the wait.
 *
 * ERR_BUSY    somebody else has it (not with `wait`)
 * ERR_SYSTEM  also when a signal ended the wait
 */
enum err store_lock_name(const struct store *s, const char *name, const char *doing, bool wait,
                         int *ret_fd, struct error *error) MUST_USE;

/* --- blobs ------------------------------------------------------------------ */

/* Absolute if the root is; for people and events, not for opening.  `ret` has
 * STORE_PATH_MAX bytes. */
void store_blob_path(const struct store *s, const struct digest *d, char *ret);
void store_partial_path(const struct store *s, const struct digest *d, char *ret);

/*
 * Open a blob for reading; nothing is hashed.  The descriptor is the caller's;
 * `ret_size` may be NULL.
 *
 * ERR_NOT_FOUND  it is not in the store
 * ERR_CONFIG     a symbolic link or no regular file is in its place
 */
enum err store_blob_open(const struct store *s, const struct digest *d, int *ret_fd,
                         uint64_t *ret_size, struct error *error) MUST_USE;

/*
 * Move a blob whose bytes are wrong to locks/quarantine/<UTC time>-<reason>.bin; `ret_path`
 * (STORE_PATH_MAX bytes) says where it went.  The reason of the reference is
 * "sha-mismatch".  Needs store_begin_write() and the name's lock.
 */
enum err store_blob_quarantine(const struct store *s, const struct digest *d, const char *reason,
                               char *ret_path, struct error *error) MUST_USE;

/* --- room ------------------------------------------------------------------- */

/* What this user may still write, and how large the file system is. */
enum err store_room(const struct store *s, uint64_t *ret_free, uint64_t *ret_total,
                    struct error *error) MUST_USE;

/* Is there room for `bytes` more and 5 % on top?  ERR_NO_SPACE names both numbers and
 * what is missing. */
enum err store_check_room(const struct store *s, uint64_t bytes, struct error *error) MUST_USE;

/* --- between the files of this folder --------------------------------------- */

/* The names of a digest's directories below blobs/sha256. */
struct blob_names {
    char aa[3];
    char blob[DIGEST_HEX + 1];
    char partial[DIGEST_HEX + sizeof ".partial-"];
};

struct blob_names blob_names(const struct digest *d);

/* Give a file that was hashed, flushed and closed to writers the name of a blob, and flush
 * the directories. */
enum err blob_place(const struct store *s, const struct digest *d, int from_dir, const char *from,
                    struct error *error) MUST_USE;

/* Move a file to quarantine. */
enum err quarantine(const struct store *s, int from_dir, const char *from, const char *reason,
                    char *ret_path, struct error *error) MUST_USE;

/*
 * Nobody else is at work: not on the store (.gc), nor on any name but `except` (which the
 * caller holds; NULL: none).  For those who remove what others could be about to refer to.
 * Needs store_begin_write().  ERR_BUSY says who is at work.
 */
struct alone {
    const struct store *store; /* NULL: not alone */
    int *names;                /* the locks */
    size_t n;
};

enum err alone_begin(struct alone *a, const struct store *s, const char *except,
                     struct error *error) MUST_USE;
/* A zeroed one is fine. */
void alone_end(struct alone *a);

/* "2026-11-23T20:15:00Z" and the like: now, in UTC, as strftime() wants it. */
void utc_now(const char *format, char *ret, size_t size);
