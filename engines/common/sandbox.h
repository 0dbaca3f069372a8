/*
 * sandbox.h - an engine gives up what it does not need, before it reads a model.
 *
 * A model comes from anywhere, and a parser of it may be taken over.  What is left to
 * it then: to compute, to read what is open, and to write to the daemon's socket.
 *
 *     sandbox_enter(&s, &plan, &kernel, &error);    in the only thread there is
 *     ... check, load, warm up ...
 *     sandbox_tighten(&s, &error);                  from any thread, for all
 *
 * Two doors, because loading needs a little more than serving: between them files
 * may be opened for reading as far as Landlock lets them be (nowhere, without a GPU),
 * behind the second none.  There is no way back.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

enum sandbox_mode {
    SANDBOX_AUTO, /* as much as this kernel has */
    SANDBOX_OFF,
    SANDBOX_REQUIRE, /* all of it, or no engine */
};

/* False if it is none of "auto", "off" and "require". */
bool sandbox_mode_from_name(const char *name, enum sandbox_mode *ret);

/* What this engine has to be allowed beyond computing. */
struct sandbox_plan {
    enum sandbox_mode mode;
    bool gpu;              /* drivers: device files, the libraries they load, code they make */
    const uint16_t *ports; /* of TCP, to connect to; borrowed */
    size_t n_ports;
};

/* What there is to build one from. */
struct sandbox_kernel {
    int landlock;        /* its version; 0: none */
    bool seccomp;        /* filters of system calls */
    const char *lacking; /* why one of them is missing; NULL: none is */
};

struct sandbox_kernel sandbox_probe(void);

/* Zeroed is outside. */
struct sandbox {
    struct sandbox_plan plan;
    bool landlock, seccomp; /* what is in force */
    const char *lacking;    /* why not both, unless that was asked for; NULL: they are */
};

/*
 * Close the first door.  There must be no other thread: Landlock binds only the one
 * that calls, and those it starts.
 *
 * ERR_CONFIG  it is required, and `kernel` lacks something
 * ERR_SYSTEM  the kernel has it and refused; half of it may be in force
 */
enum err sandbox_enter(struct sandbox *s, const struct sandbox_plan *plan,
                       const struct sandbox_kernel *kernel, struct error *error) MUST_USE;

/* Close the second, for all threads.  Nothing if the first was never closed. */
enum err sandbox_tighten(struct sandbox *s, struct error *error) MUST_USE;

/* What is in force, for people: "landlock+seccomp", "seccomp (the kernel has no ...)",
 * "off"; behind it what it is relaxed for. */
void sandbox_describe(const struct sandbox *s, char *ret, size_t size);
