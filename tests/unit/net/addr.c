/* SPDX-License-Identifier: Apache-2.0 */
#include "addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

static struct addr address(const char *text)
{
    struct addr addr = {0};

    assert_int_equal(addr_parse(str_from(text), &addr), 0);
    return addr;
}

static void texts_have_one_canonical_form(void **state)
{
    static const struct {
        const char *text;
        int family;
        const char *wanted;
    } ROWS[] = {
        {"192.0.2.1", 4, "192.0.2.1"},
        {"::ffff:192.0.2.1", 4, "192.0.2.1"},
        {"::FFFF:c000:201", 4, "192.0.2.1"},
        {"2001:DB8:0:0:0:0:0:1", 6, "2001:db8::1"},
        {"::", 6, "::"},
        {"fe80::1%eth0", 6, "fe80::1"},
        {"255.255.255.255", 4, "255.255.255.255"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct addr addr = address(ROWS[i].text);
        char text[ADDR_TEXT_MAX];

        assert_int_equal(addr.family, ROWS[i].family);
        assert_int_equal(addr_format(&addr, text), strlen(ROWS[i].wanted));
        assert_string_equal(text, ROWS[i].wanted);
    }
}

static void what_is_no_address_is_refused(void **state)
{
    static const struct str ROWS[] = {
        STR_INIT(""),
        STR_INIT("192.0.2"),
        STR_INIT("192.0.2.256"),
        STR_INIT("1.2.3.4 "),
        STR_INIT("1.2.3.4%e"),
        STR_INIT("[::1]"),
        STR_INIT(":::"),
        STR_INIT("host"),
        STR_INIT("::1\0x"),
        STR_INIT("1.2.3.4\0"),
        STR_INIT("0x1.2.3.4"),
        STR_INIT("2001:db8:2001:db8:2001:db8:2001:db8:2001:db8:2001:db8:2001:db8"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct addr addr;

        assert_int_equal(addr_parse(ROWS[i], &addr), -EINVAL);
    }
}

static void mapped_bytes_become_ipv4(void **state)
{
    static const uint8_t V4[4] = {192, 0, 2, 1};
    static const uint8_t MAPPED[16] = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1};
    static const uint8_t V6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
    struct addr a = addr_from_v4(V4), b = addr_from_v6(MAPPED), c = addr_from_v6(V6);

    (void)state;
    assert_true(addr_eq(&a, &b));
    assert_false(addr_eq(&a, &c));
    assert_int_equal(c.family, 6);
}

static void endpoints_need_an_address_and_a_port(void **state)
{
    static const struct {
        const char *text;
        const char *wanted; /* NULL: refused */
    } ROWS[] = {
        {"192.0.2.1:80", "192.0.2.1:80"},
        {"[2001:db8::1]:443", "[2001:db8::1]:443"},
        {"[::ffff:192.0.2.1]:443", "192.0.2.1:443"},
        {"192.0.2.1", NULL},
        {"192.0.2.1:", NULL},
        {"192.0.2.1:0", NULL},
        {"192.0.2.1:65536", NULL},
        {"[192.0.2.1]:80", NULL},
        {"2001:db8::1:443", NULL},
        {"[2001:db8::1]", NULL},
        {"[2001:db8::1:443", NULL},
        {":80", NULL},
        {"[]:80", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct endpoint endpoint;
        char text[ENDPOINT_TEXT_MAX];
        int r = endpoint_parse(str_from(ROWS[i].text), &endpoint);

        assert_int_equal(r, ROWS[i].wanted ? 0 : -EINVAL);
        if (r == 0) {
            assert_int_equal(endpoint_format(&endpoint, text), strlen(ROWS[i].wanted));
            assert_string_equal(text, ROWS[i].wanted);
        }
    }
}

static void the_longest_endpoint_fits(void **state)
{
    struct endpoint endpoint = {.addr = {.family = 6}, .port = 65535};
    char text[ENDPOINT_TEXT_MAX];

    (void)state;
    memset(endpoint.addr.bytes, 0xee, sizeof(endpoint.addr.bytes));
    (void)endpoint_format(&endpoint, text);
    assert_string_equal(text, "[eeee:eeee:eeee:eeee:eeee:eeee:eeee:eeee]:65535");
}

static void no_address_has_no_text(void **state)
{
    struct addr none = {0};
    char text[ADDR_TEXT_MAX];

    (void)state;
    assert_int_equal(addr_format(&none, text), 0);
    assert_string_equal(text, "");
}

static void prefixes_have_no_bits_behind_their_length(void **state)
{
    static const struct {
        const char *text;
        int result;
    } ROWS[] = {
        {"10.0.0.0/8", 0},           {"10.0.0.1/8", -ERANGE},     {"10.0.0.1", 0},
        {"10.0.0.1/32", 0},          {"10.0.0.1/33", -EINVAL},    {"0.0.0.0/0", 0},
        {"2001:db8::/32", 0},        {"2001:db8::1/32", -ERANGE}, {"::/0", 0},
        {"2001:db8::/129", -EINVAL}, {"10.0.0.0/", -EINVAL},      {"/8", -EINVAL},
        {"10.0.0.0/-1", -EINVAL},    {"10.0.0.0/8/8", -EINVAL},   {"192.0.2.128/25", 0},
        {"192.0.2.64/25", -ERANGE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct prefix prefix;

        assert_int_equal(prefix_parse(str_from(ROWS[i].text), &prefix), ROWS[i].result);
    }
}

static void prefixes_contain_their_own_family_only(void **state)
{
    static const struct {
        const char *prefix, *addr;
        bool contains;
    } ROWS[] = {
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"0.0.0.0/0", "255.1.2.3", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "10.0.0.1", false},
        {"192.0.2.128/25", "192.0.2.128", true},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"10.0.0.1", "::ffff:10.0.0.1", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct addr addr = address(ROWS[i].addr);
        struct prefix prefix;

        assert_int_equal(prefix_parse(str_from(ROWS[i].prefix), &prefix), 0);
        assert_int_equal(prefix_contains(&prefix, &addr), ROWS[i].contains);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_have_one_canonical_form),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(mapped_bytes_become_ipv4),
        cmocka_unit_test(endpoints_need_an_address_and_a_port),
        cmocka_unit_test(the_longest_endpoint_fits),
        cmocka_unit_test(no_address_has_no_text),
        cmocka_unit_test(prefixes_have_no_bits_behind_their_length),
        cmocka_unit_test(prefixes_contain_their_own_family_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
