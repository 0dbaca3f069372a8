/*
 * options.h - what the command line orders.
 *
 * Everything is checked here, before anything is created: the name, the digest, numbers.
 */
#pragma once

#include "outcome.h"
#include "store/digest.h"

enum {
    CONNECTIONS_MAX = 8,
    HEADERS_MAX = 8,
    ADOPT_DIRS_MAX = 32,
};

struct options {
    const char *store; /* NULL: where it usually is */
    const char *name;
    struct digest digest;
    const char *url; /* NULL: none */
    uint64_t size;   /* 0: not pinned */
    const char *license;
    unsigned connections;
    uint64_t limit_rate; /* bytes per second; 0: none */
    unsigned retries;    /* failures in a row without progress that are forgiven */
    unsigned stall_secs; /* without a KiB per second for so long: dial again */
    bool wait;
    bool offline;
    const char *headers[HEADERS_MAX]; /* whole lines; from the environment */
    size_t n_headers;
    const char *adopt_dirs[ADOPT_DIRS_MAX + 1]; /* ended by NULL */
    const char *ca_file;                        /* NULL: the system's */
    const char *hf_token;                       /* NULL: none */
};

/* PRESENT, or USAGE.  `*ret_end` when there is nothing more to do: help was asked for.
 * The strings are borrowed from `argv` and the environment. */
enum outcome options_read(int argc, char **argv, struct options *ret, bool *ret_end,
                          struct error *error) MUST_USE;
