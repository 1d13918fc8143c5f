/* SPDX-License-Identifier: Apache-2.0 */
#include "redact.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void credentials_are_hidden_in_any_spelling(void **state)
{
    (void)state;
    assert_true(redact_hides_header(STR("authorization")));
    assert_true(redact_hides_header(STR("Proxy-Authorization")));
    assert_true(redact_hides_header(STR("COOKIE")));
    assert_true(redact_hides_header(STR("set-cookie")));
}

static void other_headers_are_not(void **state)
{
    (void)state;
    assert_false(redact_hides_header(STR("user-agent")));
    assert_false(redact_hides_header(STR("cookie2")));
    assert_false(redact_hides_header(STR("")));
}

static void of_a_parameter_only_the_name_is_shown(void **state)
{
    static const struct {
        const char *parameter, *shown;
    } ROWS[] = {
        {"a=1", "a="}, {"a=", "a="}, {"a=b=c", "a="}, {"=x", "="}, {"token", ""}, {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
        assert_true(str_eq(redact_parameter(str_from(ROWS[i].parameter)), str_from(ROWS[i].shown)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(credentials_are_hidden_in_any_spelling),
        cmocka_unit_test(other_headers_are_not),
        cmocka_unit_test(of_a_parameter_only_the_name_is_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
