/*
 * findings.h - what is to be said about a configuration, in the order it was found.
 *
 * Whoever mends a file wants to hear of all mistakes at once, so reading goes on behind
 * the first.  A finding is either wrong, and the configuration can't be used, or it is a
 * warning about something that has no effect.
 */
#pragma once

#include "base/error.h"

struct finding {
    bool wrong;
    char *text; /* a sentence; where it is about a file, with its path and line before it */
};

enum { FINDINGS_MAX = 100 }; /* kept; what comes later is only counted */

struct findings {
    struct finding *at;
    size_t n;
    size_t n_wrong;
    bool incomplete; /* there was no memory for one of them */
};

/* Copies the text.  `findings` may be all zeros before the first. */
void findings_add(struct findings *f, bool wrong, const char *text);

/* OK if nothing is wrong; else ERR_CONFIG with the first sentence of those that are and how many there are, or
 * ERR_NO_MEMORY. */
enum err findings_verdict(const struct findings *f, struct error *error) MUST_USE;
void findings_done(struct findings *f);
