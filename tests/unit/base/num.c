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

struct unit_row {
    const char *text;
    uint64_t min, max;
    int result;
    uint64_t value;
};

static void assert_unit_row(const struct unit_row *row,
                            int (*parse)(struct str, uint64_t, uint64_t, uint64_t *))
{
    uint64_t value = 4711;

    assert_int_equal(parse(str_from(row->text), row->min, row->max, &value), row->result);
    assert_int_equal(value, row->result == 0 ? row->value : 4711);
}

static void a_duration_is_a_number_and_a_unit(void **state)
{
    static const struct unit_row ROWS[] = {
        {"200ms", 0, UINT64_MAX, 0, 200},
        {"5s", 0, UINT64_MAX, 0, 5000},
        {"2m", 0, UINT64_MAX, 0, 120000},
        {"1h", 0, UINT64_MAX, 0, 3600000},
        {"7d", 0, UINT64_MAX, 0, 604800000},
        {"0", 0, 10, 0, 0},
        {"0s", 0, 10, 0, 0},
        {"0", 1, 10, -ERANGE, 0},
        {"1s", 0, 999, -ERANGE, 0},
        {"999ms", 1000, 2000, -ERANGE, 0},
        {"5", 0, UINT64_MAX, -EINVAL, 0},
        {"00", 0, UINT64_MAX, -EINVAL, 0},
        {"s", 0, UINT64_MAX, -EINVAL, 0},
        {"", 0, UINT64_MAX, -EINVAL, 0},
        {"5 s", 0, UINT64_MAX, -EINVAL, 0},
        {"5S", 0, UINT64_MAX, -EINVAL, 0},
        {"-5s", 0, UINT64_MAX, -EINVAL, 0},
        {"1.5s", 0, UINT64_MAX, -EINVAL, 0},
        {"1m30s", 0, UINT64_MAX, -EINVAL, 0},
        {"5us", 0, UINT64_MAX, -EINVAL, 0},
        {"5MiB", 0, UINT64_MAX, -EINVAL, 0},
        {"18446744073709551615ms", 0, UINT64_MAX, 0, UINT64_MAX},
        {"18446744073709551s", 0, UINT64_MAX, 0, 18446744073709551000U},
        {"18446744073709552s", 0, UINT64_MAX, -ERANGE, 0},
        {"99999999999999999999d", 0, UINT64_MAX, -ERANGE, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
        assert_unit_row(&ROWS[i], num_parse_duration_ms);
}

static void a_size_is_a_number_and_a_unit(void **state)
{
    static const struct unit_row ROWS[] = {
        {"0", 0, 10, 0, 0},
        {"7B", 0, 10, 0, 7},
        {"64MiB", 0, UINT64_MAX, 0, 64 << 20},
        {"4KiB", 4096, 4096, 0, 4096},
        {"1GiB", 0, UINT64_MAX, 0, 1 << 30},
        {"17179869184GiB", 0, UINT64_MAX, -ERANGE, 0},
        {"64", 0, UINT64_MAX, -EINVAL, 0},
        {"64MB", 0, UINT64_MAX, -EINVAL, 0},
        {"64M", 0, UINT64_MAX, -EINVAL, 0},
        {"64mib", 0, UINT64_MAX, -EINVAL, 0},
        {"64s", 0, UINT64_MAX, -EINVAL, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
        assert_unit_row(&ROWS[i], num_parse_size);
}

static void a_formatted_duration_or_size_parses_to_itself(void **state)
{
    static const struct {
        uint64_t value;
        const char *duration, *size;
    } ROWS[] = {
        {0, "0", "0"},
        {1, "1ms", "1B"},
        {1000, "1s", "1000B"},
        {1024, "1024ms", "1KiB"},
        {90000, "90s", "90000B"},
        {60000, "1m", "60000B"},
        {86400000, "1d", "84375KiB"},
        {1536 << 10, "1572864ms", "1536KiB"},
        {1 << 30, "1073741824ms", "1GiB"},
        {UINT64_MAX, "18446744073709551615ms", "18446744073709551615B"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        char text[NUM_TEXT_MAX];
        uint64_t value = 4711;

        assert_string_equal(num_format_duration_ms(ROWS[i].value, text), ROWS[i].duration);
        assert_int_equal(num_parse_duration_ms(str_from(text), 0, UINT64_MAX, &value), 0);
        assert_int_equal(value, ROWS[i].value);
        assert_string_equal(num_format_size(ROWS[i].value, text), ROWS[i].size);
        assert_int_equal(num_parse_size(str_from(text), 0, UINT64_MAX, &value), 0);
        assert_int_equal(value, ROWS[i].value);
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
        cmocka_unit_test(a_duration_is_a_number_and_a_unit),
        cmocka_unit_test(a_size_is_a_number_and_a_unit),
        cmocka_unit_test(a_formatted_duration_or_size_parses_to_itself),
        cmocka_unit_test(ports_are_1_to_65535),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
