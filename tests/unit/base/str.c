/* SPDX-License-Identifier: Apache-2.0 */
#include "str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

static void the_empty_string_has_many_forms(void **state)
{
    (void)state;
    assert_true(str_eq((struct str){NULL, 0}, STR("")));
    assert_true(str_eq(str_from(NULL), STR("")));
    assert_true(str_has_prefix(STR("a"), (struct str){NULL, 0}));
    assert_true(str_has_suffix(STR("a"), (struct str){NULL, 0}));
    assert_true(str_contains((struct str){NULL, 0}, STR("")));
    assert_int_equal(str_find_char((struct str){NULL, 0}, 'a'), -1);
}

static void comparisons_respect_lengths(void **state)
{
    (void)state;
    assert_false(str_eq(STR("ab"), STR("abc")));
    assert_false(str_eq(STR("abc"), STR("abd")));
    assert_true(str_eq(STR("a\0b"), STR("a\0b")));
    assert_true(str_has_prefix(STR("abc"), STR("ab")));
    assert_false(str_has_prefix(STR("ab"), STR("abc")));
    assert_true(str_has_suffix(STR("abc"), STR("bc")));
    assert_false(str_has_suffix(STR("bc"), STR("abc")));
    assert_true(str_contains(STR("abcabd"), STR("abd")));
    assert_false(str_contains(STR("ab"), STR("abd")));
}

static void letter_case_means_ascii_only(void **state)
{
    (void)state;
    assert_true(str_eq_nocase(STR("Linux"), STR("lINUX")));
    assert_false(str_eq_nocase(STR("Linux"), STR("Linu")));
    assert_false(str_eq_nocase(STR("\xc4"), STR("\xe4")));
    assert_false(str_eq_nocase(STR("@"), STR("`")));
}

static void fields_end_and_empty_ones_count(void **state)
{
    static const struct {
        const char *text;
        const char *fields[4];
        size_t count;
    } ROWS[] = {
        {"a,,b", {"a", "", "b"}, 3}, {"a,", {"a", ""}, 2}, {"", {""}, 1},
        {",", {"", ""}, 2},          {"abc", {"abc"}, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct str rest = str_from(ROWS[i].text), field;
        size_t count = 0;

        while (str_next_field(&rest, ',', &field)) {
            assert_true(count < ROWS[i].count);
            assert_true(str_eq(field, str_from(ROWS[i].fields[count++])));
        }
        assert_int_equal(count, ROWS[i].count);
        assert_null(rest.ptr);
    }
}

static void an_offset_beyond_the_end_is_the_end(void **state)
{
    (void)state;
    assert_true(str_eq(str_from_offset(STR("abc"), 1), STR("bc")));
    assert_true(str_eq(str_from_offset(STR("abc"), 3), STR("")));
    assert_true(str_eq(str_from_offset(STR("abc"), 100), STR("")));
    assert_null(str_from_offset((struct str){NULL, 0}, 1).ptr);
}

static void distances_count_slips_of_the_pen(void **state)
{
    static const struct {
        const char *a, *b;
        size_t distance;
    } ROWS[] = {
        {"", "", 0},        {"when", "when", 0},      {"when", "whne", 1},
        {"when", "wen", 1}, {"when", "whxen", 1},     {"when", "whan", 1},
        {"", "abc", 3},     {"kitten", "sitting", 3}, {"header", "haeder", 1},
    };
    char longest[66];

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        assert_int_equal(str_distance(str_from(ROWS[i].a), str_from(ROWS[i].b)), ROWS[i].distance);
        assert_int_equal(str_distance(str_from(ROWS[i].b), str_from(ROWS[i].a)), ROWS[i].distance);
    }
    memset(longest, 'a', sizeof(longest));
    assert_int_equal(str_distance((struct str){longest, 64}, (struct str){longest, 63}), 1);
    assert_int_equal(str_distance((struct str){longest, 65}, STR("a")), SIZE_MAX);
}

static void a_duplicate_ends_with_a_nul(void **state)
{
    char *copy = str_dup((struct str){"abcdef", 3});
    char *empty = str_dup((struct str){NULL, 0});

    (void)state;
    assert_string_equal(copy, "abc");
    assert_string_equal(empty, "");
    free(copy);
    free(empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_empty_string_has_many_forms),
        cmocka_unit_test(comparisons_respect_lengths),
        cmocka_unit_test(letter_case_means_ascii_only),
        cmocka_unit_test(fields_end_and_empty_ones_count),
        cmocka_unit_test(an_offset_beyond_the_end_is_the_end),
        cmocka_unit_test(distances_count_slips_of_the_pen),
        cmocka_unit_test(a_duplicate_ends_with_a_nul),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
