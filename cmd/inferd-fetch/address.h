/*
 * address.h - what kind of network an address belongs to.
 *
 * A server on the internet must not be able to send us to machines that only we can
 * reach.  So what counts is the address that was connected to, not the name in a URL,
 * and addresses that carry another one (IPv4-mapped, NAT64, 6to4) are what they carry.
 */
#pragma once

#include <stdbool.h>

enum address_class {
    ADDRESS_NONE,       /* not an address at all: a name */
    ADDRESS_PUBLIC,     /* documentation networks too: nothing is reached there */
    ADDRESS_PRIVATE,    /* RFC 1918, shared, unique local, site local, reserved, multicast */
    ADDRESS_LOOPBACK,   /* and the unspecified address, which the kernel treats alike */
    ADDRESS_LINK_LOCAL, /* where clouds keep their credentials */
};

/* "192.0.2.1", "2001:db8::1" or "[2001:db8::1%eth0]". */
enum address_class address_classify(const char *text);

/* "a private", for a sentence that goes on with "address". */
const char *address_class_name(enum address_class class);

/* May a redirect from there lead to here?  Not from a public place to one that is not,
 * nor from an unknown one. */
bool address_may_follow(enum address_class from, enum address_class to);
