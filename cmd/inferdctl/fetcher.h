/*
 * fetcher.h - inferd-fetch, run for a command: its events become a bar, or plain lines, or
 * are passed on.
 *
 * The program lies beside this one or in ../libexec/inferd, and nowhere else: whoever owns
 * PATH does not choose who downloads.  An installation without it is air-gapped.
 */
#pragma once

#include "storage.h"

enum { FETCH_MORE_MAX = 64 };

struct fetch_order {
    const char *name;
    const char *sha256;
    const char *url;                  /* NULL: none is known */
    const char *size;                 /* in bytes; NULL: not pinned */
    const char *license;              /* NULL: none */
    const char *more[FETCH_MORE_MAX]; /* options that are passed on as they are */
    size_t n_more;
};

/* False: this installation has none. */
bool fetcher_find(char ret_program[static STORE_PATH_MAX]);

/* "error: fetch failed: ...": what an air-gapped installation says; returns TROUBLE. */
int fetcher_airgapped(const char *name);

/*
 * Have the model made present.  Everything that is to be said is said; with `s->json` the
 * events go to standard output as they are, otherwise nothing does.
 *
 * Returns what the program ends with: DONE, or 128 plus a signal (the child is gone then, and
 * what it had is kept), or TROUBLE.  After DONE, `ret_path` (STORE_PATH_MAX bytes) is
 * the blob.
 */
int fetcher_run(struct storage *s, const char *program, const struct fetch_order *order,
                char *ret_path);
