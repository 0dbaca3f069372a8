/*
 * room.h - one cache for all requests: who may begin, and who makes room.
 *
 * Where each slot has a stream of its own nobody can take another's room, and nothing here
 * applies.  In a unified cache a request begins when its prompt and the first
 * ROOM_AHEAD tokens of its answer fit beside what runs.  Answers may get longer than that:
 * when the cache is full, what nobody uses goes to the shelf, then whoever is held loses its
 * place, and then the youngest request is set aside.  It keeps its slot and what is known of its sequence, and is read again when
 * there is room; its client notices a pause.
 */
#pragma once

#include "seat.h"

enum { ROOM_AHEAD = 256 };

/* May it begin? */
bool room_for(const struct seats *s, const struct list *running, const struct job *job);

/* Is the slot set aside, with no room to go on? */
bool room_lacks(const struct seats *s, const struct list *running, const struct slot *slot);

/* The cache is full.  False: nobody is left to make room. */
bool room_make(struct seats *s, const struct list *running);
