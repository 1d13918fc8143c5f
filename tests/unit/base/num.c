/* SPDX-License-Identifier: Apache-2.0 */
#include "num.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

static void only_digits_inside_the_range_are_a_number(void **state)
{
    static const struct {
        const char *text;
        uint64_t min, max;
        int result;
        uint64_t value;
    } ROWS[] = {
        {"0", 0, 10, 0, 0},
        {"007", 0, 10, 0, 7},
        {"10", 0, 10, 0, 10},
        {"11", 0, 10, -ERANGE, 0},
        {"1", 2, 10, -ERANGE, 0},
        {"", 0, 10, -EINVAL, 0},
        {"+1", 0, 10, -EINVAL, 0},
        {"-1", 0, 10, -EINVAL, 0},
        {" 1", 0, 10, -EINVAL, 0},
        {"1 ", 0, 10, -EINVAL, 0},
        {"0x1", 0, 10, -EINVAL, 0},
        {"1.0", 0, 10, -EINVAL, 0},
        {"18446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX},
        {"18446744073709551616", 0, UINT64_MAX, -ERANGE, 0},
        {"99999999999999999999999999", 0, UINT64_MAX, -ERANGE, 0},
        {"99999999999999999999999999x", 0, UINT64_MAX, -EINVAL, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        uint64_t value = 4711;
        int r = num_parse_u64(str_from(ROWS[i].text), ROWS[i].min, ROWS[i].max, &value);

        assert_int_equal(r, ROWS[i].result);
        assert_int_equal(value, r == 0 ? ROWS[i].value : 4711);
    }
}

static void ports_are_1_to_65535(void **state)
{
    uint16_t port = 4711;

    (void)state;
    assert_int_equal(num_parse_port(STR("0"), &port), -ERANGE);
    assert_int_equal(num_parse_port(STR("65536"), &port), -ERANGE);
    assert_int_equal(num_parse_port(STR("http"), &port), -EINVAL);
    assert_int_equal(port, 4711);
    assert_int_equal(num_parse_port(STR("65535"), &port), 0);
    assert_int_equal(port, 65535);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_digits_inside_the_range_are_a_number),
        cmocka_unit_test(ports_are_1_to_65535),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
