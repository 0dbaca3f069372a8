/*
 * seat.h - which slot a request gets, and what it finds there.
 *
 * The slots' sequences, running or left behind, and those on the shelf are searched for the
 * longest prefix that the new prompt shares with any of them.  It is used where it is, or
 * copied.  What was in a slot before and is of no use to its new request goes to the shelf.
 *
 *     slot = seats_take(&s, job);
 *     seats_wait(&s, running, slot)    before a pass: is another reading what it needs?
 *     n = seats_cut(&s, running, slot, n)
 *     seats_decoded(&s, slot);         after the pass
 *     seats_leave(&s, slot);
 */
#pragma once

#include "prefix.h"
#include "slot.h"

struct seats {
    const struct model *model; /* borrowed */
    llama_memory_t memory;     /* the context's */
    uint32_t n;
    struct slot *slots; /* owned */
    struct slot **at;   /* owned; slots by `seq` */
    struct shelf shelf;
    uint64_t passes; /* decoded so far */
    unsigned apart;  /* passes for which those that run have not stood side by side */
};

enum err seats_init(struct seats *s, const struct model *model, struct error *error) MUST_USE;
void seats_done(struct seats *s);

/* A slot for `job`, which is taken; NULL: none is free, the job stays the caller's. */
struct slot *seats_take(struct seats *s, struct job *job);

/* Has this slot of `running` nothing to do but wait for what another one reads?  If that
 * is there by now, it gets it. */
bool seats_wait(struct seats *s, const struct list *running, struct slot *slot);

/* How many of the next `n` tokens to decode, so that what others wait for, or the shelf
 * is to keep, can be copied between passes. */
uint32_t seats_cut(const struct seats *s, const struct list *running, const struct slot *slot,
                   uint32_t n);

/* What the slot offered was decoded. */
void seats_decoded(struct seats *s, struct slot *slot);

/* Decoding was broken off: find out what is in the cache. */
void seats_find_out(struct seats *s, struct slot *slot);

/* End its request; its sequence stays as long as nobody needs the place. */
void seats_leave(struct seats *s, struct slot *slot);

/* Nobody runs in it: what it holds goes to the shelf. */
void seats_put_away(struct seats *s, struct slot *slot);

/* What is in its place can't be trusted any more. */
void seats_forget(struct seats *s, struct slot *slot);

/* Tokens that are in the cache; those that several have count for each, as far as there is
 * room. */
uint64_t seats_used(const struct seats *s);

/* Is what is counted what is there?  What is not is forgotten, and said so. */
void seats_check(struct seats *s);

/* Between passes: let those that run stand side by side. */
void seats_close_up(struct seats *s);
