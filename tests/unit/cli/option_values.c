/* SPDX-License-Identifier: Apache-2.0 */
#include "option_values.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

static void checks_say_what_was_expected(void **state)
{
    static const struct {
        int (*check)(struct str value, struct diag *diag);
        const char *value, *message; /* NULL: a good one */
    } ROWS[] = {
        {option_check_port, "1", NULL},
        {option_check_port, "65535", NULL},
        {option_check_port, "0", "expected a port from 1 to 65535"},
        {option_check_port, "65536", "expected a port from 1 to 65535"},
        {option_check_port, "any", "expected a port from 1 to 65535"},
        {option_check_port, "", "expected a port from 1 to 65535"},
        {option_check_port, "80-90", "expected a port from 1 to 65535"},
        {option_check_port_or_any, "any", NULL},
        {option_check_port_or_any, "443", NULL},
        {option_check_port_or_any, "Any", "expected a port from 1 to 65535, or any"},
        {option_check_prefix, "192.0.2.0/24", NULL},
        {option_check_prefix, "2001:db8::1", NULL},
        {option_check_prefix, "192.0.2.1/24", "bits are set behind the prefix length"},
        {option_check_prefix, "192.0.2.0/33", "expected ADDRESS/LENGTH"},
        {option_check_prefix, "", "expected ADDRESS/LENGTH"},
        {option_check_user, "nobody", NULL},
        {option_check_user, "4242424", NULL},
        {option_check_user, "root", "the server does not run as root"},
        {option_check_user, "no-such-user", "there is no such user"},
        {option_check_group, "nogroup", NULL},
        {option_check_group, "0", NULL},
        {option_check_group, "4242424", NULL},
        {option_check_group, "no-such-group", "there is no such group"},
        {option_check_path, "/run/x", NULL},
        {option_check_path, "run/x", "expected an absolute path"},
        {option_check_path, "", "expected an absolute path"},
        {option_check_group, "4294967295", "there is no such group"}, /* (gid_t)-1 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct diag diag = {0};
        int r = ROWS[i].check(str_from(ROWS[i].value), &diag);

        if ((r < 0) != (ROWS[i].message != NULL))
            fail_msg("%s: %d, %s", ROWS[i].value, r, diag.text);
        assert_string_equal(diag.text, ROWS[i].message ? ROWS[i].message : "");
    }
}

static void lists_of_ports_are_joined(void **state)
{
    const char *texts[] = {"80,any,443", "8080"};
    const struct text_list list = {texts, 2};
    struct port_list ports = {0};
    bool any = false;

    (void)state;
    assert_int_equal(port_list_append(&ports, &list, &any), 0);
    assert_true(any);
    assert_int_equal(ports.count, 3);
    assert_int_equal(ports.items[0], 80);
    assert_int_equal(ports.items[1], 443);
    assert_int_equal(ports.items[2], 8080);
    free(ports.items);
}

static void lists_of_prefixes_are_joined(void **state)
{
    const char *texts[] = {"192.0.2.0/24,2001:db8::/32", "198.51.100.7"};
    const struct text_list list = {texts, 2};
    struct prefix_list prefixes = {0};

    (void)state;
    assert_int_equal(prefix_list_append(&prefixes, &list), 0);
    assert_int_equal(prefixes.count, 3);
    assert_int_equal(prefixes.items[0].length, 24);
    assert_int_equal(prefixes.items[1].addr.family, 6);
    assert_int_equal(prefixes.items[2].length, 32);
    free(prefixes.items);
}

static void groups_are_names_or_numbers(void **state)
{
    gid_t group = 1;

    (void)state;
    assert_int_equal(group_parse(STR("root"), &group), 0);
    assert_int_equal(group, 0);
    assert_int_equal(group_parse(STR("nogroup"), &group), 0);
    assert_int_equal(group, 65534);
    assert_int_equal(group_parse(STR("4242424"), &group), 0);
    assert_int_equal(group, 4242424);
    assert_int_equal(group_parse(STR("no-such-group"), &group), -ENOENT);
    assert_int_equal(group, 4242424);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_say_what_was_expected),
        cmocka_unit_test(lists_of_ports_are_joined),
        cmocka_unit_test(lists_of_prefixes_are_joined),
        cmocka_unit_test(groups_are_names_or_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
