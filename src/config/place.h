/*
 * place.h - where a configured model lies, and the order to fetch it if it does not.
 */
#pragma once

#include "config/config.h"

struct place {
    char *path;  /* of the file, which need not be there yet */
    char **argv; /* of inferd-fetch, ended by NULL; NULL: the file is there */
};

/* What of our environment inferd-fetch needs: where caches are, how the network is
 * reached, and what opens doors; ended by NULL. */
extern const char *const place_passed_on[];

/*
 * `fetcher` is the program's path; NULL: there is none.  `*ret` is zeroed before and to be
 * ended with place_done() whatever comes of it.
 *
 * ERR_CONFIG  the model is not there and can't be fetched; the sentence says what to do
 * ERR_SYSTEM, ERR_NO_MEMORY
 */
enum err place_find(struct place *ret, const struct config *config, const struct backend_config *b,
                    const char *fetcher, struct error *error) MUST_USE;
void place_done(struct place *p);
