/*
 * grammar.h - is a grammar (GBNF) one that we can live with?
 *
 * llama.cpp compiles grammars and follows them.  It recurses where they are nested, writes
 * repetitions out, and keeps every way in which the text so far can be meant; a few lines
 * can ask for more of that than any machine has.  So they are read here first, and what
 * is wrong is said with its place.
 */
#pragma once

#include "proto/request.h"

enum {
    GRAMMAR_RULES_MAX = 16384,     /* written down, or made of groups and repetitions */
    GRAMMAR_DEPTH_MAX = 64,        /* of groups in groups */
    GRAMMAR_REPEAT_MAX = 2000,     /* in {m,n} */
    GRAMMAR_ELEMENTS_MAX = 200000, /* characters, references, ends, all written out */
    GRAMMAR_WAYS_MAX = 5000,       /* to begin with one rule */
};

/*
 * ERR_INVALID_REQUEST  "the grammar can't be read: line 3, column 7: ..."; also where no rule
 *                      is called root, a rule is missing, or begins with itself
 */
enum err grammar_check(struct slice text, struct error *error) MUST_USE;
