/*
 * What address.h promises: which addresses are inside, and where redirects may lead.
 */
#include "address.h"

#include "base/base.h"
#include "test.h"

static void expect(enum address_class class, const char *text)
{
    if (address_classify(text) != class)
        fail_msg("'%s' is %s address, expected was %s", text,
                 address_class_name(address_classify(text)), address_class_name(class));
}

static void names_are_no_addresses(void **state UNUSED)
{
    expect(ADDRESS_NONE, "localhost");
    expect(ADDRESS_NONE, "");
    expect(ADDRESS_NONE, "127.0.0.1.example.com");
    expect(ADDRESS_NONE, "1.2.3");
    expect(ADDRESS_NONE, "256.1.1.1");
    expect(ADDRESS_NONE, "0123456789012345678901234567890123456789012345678901234567890123456789");
}

static void the_internet_is_public(void **state UNUSED)
{
    expect(ADDRESS_PUBLIC, "8.8.8.8");
    expect(ADDRESS_PUBLIC, "192.0.2.1"); /* documentation, which tests use */
    expect(ADDRESS_PUBLIC, "2606:4700::1111");
    expect(ADDRESS_PUBLIC, "[2606:4700::1111]");
}

static void the_edges_of_private_networks(void **state UNUSED)
{
    expect(ADDRESS_PUBLIC, "9.255.255.255");
    expect(ADDRESS_PRIVATE, "10.0.0.0");
    expect(ADDRESS_PRIVATE, "10.255.255.255");
    expect(ADDRESS_PUBLIC, "11.0.0.0");
    expect(ADDRESS_PUBLIC, "100.63.255.255");
    expect(ADDRESS_PRIVATE, "100.64.0.0");
    expect(ADDRESS_PRIVATE, "100.127.255.255");
    expect(ADDRESS_PUBLIC, "100.128.0.0");
    expect(ADDRESS_PUBLIC, "172.15.255.255");
    expect(ADDRESS_PRIVATE, "172.16.0.0");
    expect(ADDRESS_PRIVATE, "172.31.255.255");
    expect(ADDRESS_PUBLIC, "172.32.0.0");
    expect(ADDRESS_PRIVATE, "192.168.0.1");
    expect(ADDRESS_PUBLIC, "192.169.0.0");
    expect(ADDRESS_PRIVATE, "198.19.255.255");
    expect(ADDRESS_PUBLIC, "198.20.0.0");
    expect(ADDRESS_PUBLIC, "223.255.255.255");
    expect(ADDRESS_PRIVATE, "224.0.0.1");
    expect(ADDRESS_PRIVATE, "255.255.255.255");
    expect(ADDRESS_PRIVATE, "fc00::1");
    expect(ADDRESS_PRIVATE, "fdff::1");
    expect(ADDRESS_PRIVATE, "fec0::1");
    expect(ADDRESS_PRIVATE, "ff02::1");
    expect(ADDRESS_PRIVATE, "64:ff9b:1::1");
}

static void this_machine(void **state UNUSED)
{
    expect(ADDRESS_LOOPBACK, "127.0.0.1");
    expect(ADDRESS_LOOPBACK, "127.255.255.255");
    expect(ADDRESS_LOOPBACK, "0.0.0.0");
    expect(ADDRESS_LOOPBACK, "::1");
    expect(ADDRESS_LOOPBACK, "::");
    expect(ADDRESS_LOOPBACK, "[::1]");
}

static void this_link(void **state UNUSED)
{
    expect(ADDRESS_LINK_LOCAL, "169.254.169.254");
    expect(ADDRESS_LINK_LOCAL, "fe80::1");
    expect(ADDRESS_LINK_LOCAL, "fe80::1%eth0");
    expect(ADDRESS_LINK_LOCAL, "febf::1");
}

static void an_address_in_an_address_counts(void **state UNUSED)
{
    expect(ADDRESS_LOOPBACK, "::ffff:127.0.0.1");
    expect(ADDRESS_LINK_LOCAL, "::ffff:a9fe:a9fe");
    expect(ADDRESS_PRIVATE, "::10.0.0.1");
    expect(ADDRESS_PRIVATE, "64:ff9b::10.0.0.1");
    expect(ADDRESS_PRIVATE, "2002:c0a8:0101::1");
    expect(ADDRESS_PUBLIC, "::ffff:8.8.8.8");
    expect(ADDRESS_PUBLIC, "64:ff9b::8.8.8.8");
    expect(ADDRESS_PUBLIC, "2002:0808:0808::1");
}

static void no_way_leads_from_outside_to_inside(void **state UNUSED)
{
    for (int from = ADDRESS_NONE; from <= ADDRESS_LINK_LOCAL; from++) {
        for (int to = ADDRESS_NONE; to <= ADDRESS_LINK_LOCAL; to++) {
            bool outside = from == ADDRESS_NONE || from == ADDRESS_PUBLIC;
            bool inside = to != ADDRESS_NONE && to != ADDRESS_PUBLIC;
            assert_int_equal(address_may_follow((enum address_class)from, (enum address_class)to),
                             !(outside && inside));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_no_addresses),
        cmocka_unit_test(the_internet_is_public),
        cmocka_unit_test(the_edges_of_private_networks),
        cmocka_unit_test(this_machine),
        cmocka_unit_test(this_link),
        cmocka_unit_test(an_address_in_an_address_counts),
        cmocka_unit_test(no_way_leads_from_outside_to_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
