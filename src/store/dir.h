/*
 * dir.h - files by name in a directory that is open, never through a symbolic link.
 *
 * For this folder only.  Sentences name the whole path.  Everywhere:
 *
 * ERR_NOT_FOUND  there is nothing of that name
 * ERR_CONFIG     there is a symbolic link, or something of the wrong type
 * ERR_NO_SPACE   the disk (or the user's share of it) is full
 * ERR_SYSTEM
 */
#pragma once

#include <sys/stat.h>

#include "base/error.h"

/* fail_sys() with "<what> '<path of dir>/<name>'" and a code as above. */
enum err dir_fail(int dir, const char *name, const char *what, struct error *error);

/* OK after all: what failed need not succeed. */
enum err no_error(struct error *error);

enum err dir_open(int dir, const char *name, int *ret_fd, struct error *error) MUST_USE;

/* The same, made with 0700 if it is missing. */
enum err dir_make(int dir, const char *name, int *ret_fd, struct error *error) MUST_USE;

/* A regular file; `flags` as for open(), made with 0600.  `ret_st` may be NULL. */
enum err dir_open_file(int dir, const char *name, int flags, int *ret_fd, struct stat *ret_st,
                       struct error *error) MUST_USE;

/* A new regular file in the place of one that somebody left there. */
enum err dir_new_file(int dir, const char *name, int *ret_fd, struct error *error) MUST_USE;

bool dir_has(int dir, const char *name);

/* Is `fd` the file that the name means? */
bool dir_is(int dir, const char *name, int fd);

/* Remove a file; one that is not there is fine. */
enum err dir_unlink(int dir, const char *name, struct error *error) MUST_USE;

/* Remove a directory and the files in it; what is not there is fine. */
enum err dir_remove(int dir, const char *name, struct error *error) MUST_USE;

enum err dir_sync(int dir, struct error *error) MUST_USE;

/* All names in a directory but "." and "..", sorted; the list is ended with names_done(). */
struct names {
    char **at;
    size_t n;
};

enum err dir_names(int dir, struct names *ret, struct error *error) MUST_USE;
void names_done(struct names *n);

/* flock() with the patience for somebody who only looks whether it is held.  False with
 * errno; EWOULDBLOCK: it is. */
bool lock_file(int fd, int operation) MUST_USE;
