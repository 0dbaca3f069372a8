/*
 * address.c - see address.h.
 */
#include "address.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

#include "base/base.h"

struct network {
    uint32_t base;
    unsigned bits;
    enum address_class class;
};

static const struct network v4[] = {
    { 0x00000000, 8, ADDRESS_LOOPBACK },    /* 0.0.0.0/8: "this host" */
    { 0x0a000000, 8, ADDRESS_PRIVATE },     /* 10/8 */
    { 0x64400000, 10, ADDRESS_PRIVATE },    /* 100.64/10: carriers' NAT */
    { 0x7f000000, 8, ADDRESS_LOOPBACK },    /* 127/8 */
    { 0xa9fe0000, 16, ADDRESS_LINK_LOCAL }, /* 169.254/16 */
    { 0xac100000, 12, ADDRESS_PRIVATE },    /* 172.16/12 */
    { 0xc0000000, 24, ADDRESS_PRIVATE },    /* 192.0.0/24: protocol assignments */
    { 0xc0a80000, 16, ADDRESS_PRIVATE },    /* 192.168/16 */
    { 0xc6120000, 15, ADDRESS_PRIVATE },    /* 198.18/15: benchmarks */
    { 0xe0000000, 3, ADDRESS_PRIVATE },     /* 224/3: multicast, reserved, broadcast */
};

static enum address_class classify_v4(uint32_t ip)
{
    for (size_t i = 0; i < ARRAY_LEN(v4); i++)
        if ((ip ^ v4[i].base) >> (32 - v4[i].bits) == 0)
            return v4[i].class;
    return ADDRESS_PUBLIC;
}

static uint32_t v4_at(const uint8_t *bytes)
{
    uint32_t ip;
    memcpy(&ip, bytes, sizeof ip);
    return ntohl(ip);
}

static enum address_class classify_v6(const uint8_t ip[16])
{
    static const uint8_t zero[15] = { 0 };
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b };

    if (memcmp(ip, zero, 15) == 0 && ip[15] <= 1)
        return ADDRESS_LOOPBACK; /* :: and ::1 */
    if (memcmp(ip, mapped, 12) == 0 || memcmp(ip, nat64, 12) == 0 || memcmp(ip, zero, 12) == 0)
        return classify_v4(v4_at(ip + 12));
    if (ip[0] == 0x20 && ip[1] == 0x02) /* 2002::/16: 6to4 */
        return classify_v4(v4_at(ip + 2));
    if (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80)
        return ADDRESS_LINK_LOCAL; /* fe80::/10 */
    /* 64:ff9b:1::/48, fc00::/7, fec0::/10 and ff00::/8 */
    if (memcmp(ip, "\x00\x64\xff\x9b\x00\x01", 6) == 0 || (ip[0] & 0xfe) == 0xfc ||
        (ip[0] == 0xfe && (ip[1] & 0xc0) == 0xc0) || ip[0] == 0xff)
        return ADDRESS_PRIVATE;
    return ADDRESS_PUBLIC;
}

enum address_class address_classify(const char *text)
{
    char bare[INET6_ADDRSTRLEN + 1];
    size_t skip = text[0] == '[';
    size_t len = strcspn(text + skip, "%]");
    if (len >= sizeof bare)
        return ADDRESS_NONE;
    memcpy(bare, text + skip, len);
    bare[len] = '\0';

    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, bare, &four) == 1)
        return classify_v4(ntohl(four.s_addr));
    if (inet_pton(AF_INET6, bare, &six) == 1)
        return classify_v6(six.s6_addr);
    return ADDRESS_NONE;
}

const char *address_class_name(enum address_class class)
{
    switch (class) {
    case ADDRESS_NONE:
        return "an unknown";
    case ADDRESS_PUBLIC:
        return "a public";
    case ADDRESS_PRIVATE:
        return "a private";
    case ADDRESS_LOOPBACK:
        return "a loopback";
    case ADDRESS_LINK_LOCAL:
        return "a link-local";
    }
    return "an unknown";
}

bool address_may_follow(enum address_class from, enum address_class to)
{
    bool inside = to == ADDRESS_PRIVATE || to == ADDRESS_LOOPBACK || to == ADDRESS_LINK_LOCAL;
    return !inside || (from != ADDRESS_PUBLIC && from != ADDRESS_NONE);
}
