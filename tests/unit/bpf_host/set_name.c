/* SPDX-License-Identifier: Apache-2.0 */
#include "set_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void names_are_read_and_written(void **state)
{
    static const struct {
        const char *text;
        struct set_name name;
    } ROWS[] = {{"v1", {1, 0}},
                {"v2", {2, 0}},
                {"v2-1", {2, 1}},
                {"v12-34", {12, 34}},
                {"v999999999-999999999", {999999999, 999999999}}};

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct set_name name;
        char text[SET_NAME_MAX];

        assert_true(set_name_parse(ROWS[i].text, &name));
        assert_int_equal(set_name_compare(name, ROWS[i].name), 0);
        set_name_format(name, text);
        assert_string_equal(text, ROWS[i].text);
    }
}

static void other_texts_are_no_names(void **state)
{
    static const char *const ROWS[] = {"",      "v",     "v0",   "v02",        "2",          "v2-",
                                       "v2-0",  "v2-01", "v2x",  "v2-1x",      "V2",         "v-1",
                                       "v2--1", "v2.1",  "lock", "unfinished", "v1234567890"};

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct set_name name = {7, 7};

        assert_false(set_name_parse(ROWS[i], &name));
        assert_int_equal(name.layout, 7);
    }
}

static void later_ones_are_greater(void **state)
{
    static const struct set_name ROWS[] = {{1, 0}, {1, 9}, {2, 0}, {2, 1}, {2, 10}, {10, 0}};

    (void)state;
    for (size_t i = 0; i + 1 < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        assert_true(set_name_compare(ROWS[i], ROWS[i + 1]) < 0);
        assert_true(set_name_compare(ROWS[i + 1], ROWS[i]) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read_and_written),
        cmocka_unit_test(other_texts_are_no_names),
        cmocka_unit_test(later_ones_are_greater),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
