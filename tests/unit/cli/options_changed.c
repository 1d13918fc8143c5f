/* SPDX-License-Identifier: Apache-2.0 */
#include "options_changed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

struct values {
    bool flag;
    const char *text, *live, *here;
    struct text_list list;
    uint64_t number;
    unsigned choice;
};

static const char *const CHOICES[] = {"a", "b", NULL};

#define AT(field) offsetof(struct values, field)
static const struct option_spec SPECS[] = {
    {.name = "flag", .kind = OPTION_FLAG, .offset = AT(flag)},
    {.name = "text", .kind = OPTION_TEXT, .offset = AT(text)},
    {.name = "live", .kind = OPTION_TEXT, .offset = AT(live), .live = true},
    {.name = "here", .kind = OPTION_TEXT, .offset = AT(here), .command_line_only = true},
    {.name = "list", .kind = OPTION_LIST, .offset = AT(list)},
    {.name = "number", .kind = OPTION_NUMBER, .offset = AT(number)},
    {.name = "choice", .kind = OPTION_CHOICE, .offset = AT(choice), .choices = CHOICES},
};
#undef AT

static const struct option_table TABLE = {SPECS, OPTION_COUNT(SPECS)};

static void each_kind_of_value_is_compared(void **state)
{
    const char *one[] = {"x"}, *two[] = {"x", "y"}, *other[] = {"z"};
    char copy[] = "text";
    const struct values same = {.text = "text", .list = {one, 1}, .number = 1, .choice = 1};
    const struct {
        struct values values;
        const char *names;
    } rows[] = {
        {{.text = copy, .list = {one, 1}, .number = 1, .choice = 1}, ""},
        {{.text = copy, .list = {one, 1}, .number = 1, .choice = 1, .live = "l"}, "--live"},
        {{.text = copy, .list = {one, 1}, .number = 1, .choice = 1, .here = "h"}, ""},
        {{.text = copy, .list = {one, 1}, .number = 1, .choice = 1, .flag = true}, "--flag"},
        {{.list = {one, 1}, .number = 1, .choice = 1}, "--text"},
        {{.text = "other", .list = {one, 1}, .number = 1, .choice = 1}, "--text"},
        {{.text = copy, .list = {two, 2}, .number = 1, .choice = 1}, "--list"},
        {{.text = copy, .list = {other, 1}, .number = 1, .choice = 1}, "--list"},
        {{.text = copy, .list = {one, 1}, .number = 2, .choice = 0}, "--number, --choice"},
    };
    char names[64];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(options_changed(&TABLE, &same, &rows[i].values, names, sizeof(names)),
                            rows[i].names);
}

static void what_is_live_takes_no_restart(void **state)
{
    const struct values a = {.number = 1, .live = "a"}, b = {.number = 1, .live = "b"},
                        c = {.number = 2, .live = "c"};
    char names[64];

    (void)state;
    assert_string_equal(options_frozen(&TABLE, &a, &b, names, sizeof(names)), "");
    assert_string_equal(options_frozen(&TABLE, &a, &c, names, sizeof(names)), "--number");
}

static void names_are_cut_where_they_do_not_fit(void **state)
{
    const struct values a = {.number = 1}, b = {.flag = true, .choice = 1};
    char names[10];

    (void)state;
    assert_string_equal(options_changed(&TABLE, &a, &b, names, sizeof(names)), "--flag, -");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_value_is_compared),
        cmocka_unit_test(what_is_live_takes_no_restart),
        cmocka_unit_test(names_are_cut_where_they_do_not_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
