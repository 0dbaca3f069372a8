/*
 * plan.h - what one answer of the mock engine will be.
 *
 * Pieces of text, one after the other, and then an ending.  Everything the mock can
 * do to a request is a plan; which one is decided before the first piece leaves.
 */
#pragma once

#include "proto/request.h"

enum ending {
    END_DONE,   /* as an answer ends */
    END_HOLD,   /* not before it is cancelled */
    END_REFUSE, /* with an error */
    END_CRASH,  /* with the process */
    END_HANG,   /* the process looks at nothing any more */
    END_EAT,    /* as an answer ends, but it takes memory first */
};

struct finale {
    enum ending ending;
    enum err code;       /* REFUSE */
    const char *message; /* REFUSE; a literal */
    int signal;          /* CRASH */
    uint64_t mib;        /* EAT */
};

struct plan {
    const struct slice *pieces; /* in turn, over and over, ... */
    size_t n_pieces;
    uint64_t count; /* ... until so many were sent */
    struct finale finale;
    uint64_t prompt_tokens; /* what the outcome shall say */
    void *owned;            /* the memory of `pieces`, if it is the plan's own */
};

/* One piece, `mock-response`. */
void plan_init(struct plan *p);
void plan_done(struct plan *p);

/* `count` pieces of `size` bytes instead of those there were. */
enum err plan_fill(struct plan *p, uint64_t count, uint64_t size, struct error *error) MUST_USE;

/* End with `finale` after `count` pieces, if there are so many. */
void plan_cut(struct plan *p, uint64_t count, struct finale finale);

/* How a stream ends that is dropped, and how it fails (false: no such word), or
 * crashes with a signal named as in "SEGV" (likewise). */
struct finale finale_dropped(void);
bool finale_failed(struct slice word, struct finale *ret);
bool finale_crashed(struct slice name, struct finale *ret);

/*
 * The plan that `command` asks for; its pieces may lie in the command.
 *
 *     say a b c          a piece for each word, the blank before it included
 *     hold               `held`, then nothing until cancelled
 *     babble COUNT SIZE  COUNT pieces of SIZE bytes
 *     fail CODE          not_ready, unavailable, invalid_request or internal
 *     drop               `dropped`, then the stream ends without an end
 *     crash SIGNAL       KILL, SEGV, ABRT, ILL, BUS, FPE or TERM
 *     hang
 *     eat MIB            takes so much memory and answers nothing; without that much it ends
 *
 * ERR_INVALID_REQUEST  it asks for none
 */
enum err plan_read(struct slice command, struct plan *ret, struct error *error) MUST_USE;
