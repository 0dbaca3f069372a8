/*
 * quiet.h - what llama.cpp says, and who hears it.
 *
 * llama.cpp logs through a callback and, here and there, straight to stderr: a
 * grammar that it cannot parse it prints whole.  Here both become one stream, of
 * which only warnings and errors reach standard error, and nothing at all of what is
 * said while somebody listens:
 *
 *     struct hearsay said;
 *     quiet_listen(&said);
 *     ... let llama.cpp look at what came from a client ...
 *     quiet_listen(NULL);
 *     ... said.text is what it complained about ...
 */
#pragma once

#include <stddef.h>

struct hearsay {
    char text[1024]; /* terminated; what is longer is cut; bytes of any kind */
    size_t len;
};

/* Once, before there are threads. */
void quiet_init(void);

/* From now on, what llama.cpp complains about on this thread goes to `said` (NULL:
 * to standard error again) and nowhere else. */
void quiet_listen(struct hearsay *said);
