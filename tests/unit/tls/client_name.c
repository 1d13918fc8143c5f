/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "client_name.h"

static void names_are_checked(void **state)
{
    static const struct {
        const char *name;
        const char *says; /* NULL: it is fine */
    } ROWS[] = {
        {"spiffe://cluster.local/ns/x/sa/y", NULL},
        {"spiffe://cluster.local/ns/x/*", NULL},
        {"spiffe://cluster.local/*", NULL},
        {"https://example.org", NULL},
        {"envoy.example.org", NULL},
        {"localhost", NULL},
        {"", "expected a URI or a DNS name"},
        {"two words", "expected a URI or a DNS name"},
        {"*.example.org", "expected no `*`"},
        {"*", "expected no `*`"},
        {"example.org:80", "expected a DNS name or a URI"},
        {"a/b", "expected a DNS name or a URI"},
        {"spiffe://*", "expected a scheme and an authority"},
        {"spiffe:///*", "expected a scheme and an authority"},
        {"spiffe://", "expected a scheme and an authority"},
        {"://x/y", "expected a scheme and an authority"},
        {"spiffe://cluster.local/ns/*/sa/y", "expected `*` nowhere but"},
        {"spiffe://cluster.local/ns*", "expected `*` nowhere but"},
        {"spiffe://*/ns/*", "expected `*` nowhere but"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct diag diag = {0};

        assert_int_equal(client_name_check(str_from(ROWS[i].name), &diag),
                         ROWS[i].says ? -EINVAL : 0);
        if (ROWS[i].says)
            assert_non_null(strstr(diag.text, ROWS[i].says));
    }
}

static void names_match_as_the_manual_says(void **state)
{
    static const struct {
        const char *allowed;
        enum client_name_kind kind;
        const char *name;
        bool matches;
    } ROWS[] = {
        {"spiffe://a/ns/x", CLIENT_NAME_URI, "spiffe://a/ns/x", true},
        {"spiffe://a/ns/x", CLIENT_NAME_URI, "spiffe://a/ns/x/", false},
        {"spiffe://a/ns/x", CLIENT_NAME_URI, "spiffe://a/ns/X", false},
        {"spiffe://a/ns/x", CLIENT_NAME_URI, "spiffe://a/ns/xy", false},
        {"spiffe://a/ns/x", CLIENT_NAME_URI, "", false},
        {"spiffe://a/ns/x", CLIENT_NAME_DNS, "spiffe://a/ns/x", false},
        {"spiffe://a/ns/*", CLIENT_NAME_URI, "spiffe://a/ns/x/sa/y", true},
        {"spiffe://a/ns/*", CLIENT_NAME_URI, "spiffe://a/ns/", false},
        {"spiffe://a/ns/*", CLIENT_NAME_URI, "spiffe://a/nsx", false},
        {"spiffe://a/*", CLIENT_NAME_URI, "spiffe://a.evil/x", false},
        {"envoy.test", CLIENT_NAME_DNS, "envoy.test", true},
        {"envoy.test", CLIENT_NAME_DNS, "Envoy.Test", true},
        {"envoy.test", CLIENT_NAME_DNS, "x.envoy.test", false},
        {"envoy.test", CLIENT_NAME_DNS, "*.test", false},
        {"envoy.test", CLIENT_NAME_URI, "envoy.test", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
        assert_int_equal(
            client_name_matches(str_from(ROWS[i].allowed), ROWS[i].kind, str_from(ROWS[i].name)),
            ROWS[i].matches);
}

/* A certificate can say anything: what is compared is its whole length. */
static void a_zero_byte_ends_no_name(void **state)
{
    (void)state;
    assert_false(client_name_matches(STR("envoy.test"), CLIENT_NAME_DNS, STR("envoy.test\0.evil")));
    assert_false(client_name_matches(STR("spiffe://a/x"), CLIENT_NAME_URI, STR("spiffe://a/x\0y")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(names_match_as_the_manual_says),
        cmocka_unit_test(a_zero_byte_ends_no_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
