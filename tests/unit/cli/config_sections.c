/* SPDX-License-Identifier: Apache-2.0 */
/* The sections as they are: that their options go together, and a load of them without memory. */
#include "config_file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent_settings.h"
#include "failing_memory.h"

static const struct option_spec *next_option(const struct config_section **section, size_t *index)
{
    while ((*section)->name && *index == (*section)->options->count) {
        (*section)++;
        *index = 0;
    }
    return (*section)->name ? &(*section)->options->specs[(*index)++] : NULL;
}

static bool is_ranged(const struct option_spec *spec)
{
    return spec->kind == OPTION_NUMBER || spec->kind == OPTION_DURATION ||
           spec->kind == OPTION_SIZE;
}

static void assert_default_is_a_value(const struct option_spec *spec)
{
    struct diag diag = {0};
    struct str item;

    if (option_check(spec, str_from(spec->default_text), &item, &diag) < 0)
        fail_msg("--%s %s: %s", spec->name, spec->default_text, diag.text);
    assert_null(strstr(spec->help, "(default")); /* --help says it of itself */
}

static void each_option_says_what_it_is(void **state)
{
    const struct config_section *section = CONFIG_SECTIONS;
    const struct option_spec *spec;
    size_t index = 0, options = 0;

    (void)state;
    while ((spec = next_option(&section, &index))) {
        options++;
        assert_true(spec->name[0] && spec->help && spec->help[0]);
        assert_int_equal(spec->kind == OPTION_FLAG, spec->value == NULL);
        assert_int_equal(spec->kind == OPTION_CHOICE, spec->choices != NULL);
        assert_true(!is_ranged(spec) || spec->min < spec->max);
        if (spec->default_text)
            assert_default_is_a_value(spec);
        assert_true(!spec->items || (spec->check && spec->kind == OPTION_LIST));
        for (const char *c = spec->name; *c; c++)
            assert_true((*c >= 'a' && *c <= 'z') || *c == '-');
    }
    assert_true(options > 20);
}

/* Else a key of the top level could be right for one verb and wrong for another. */
static void options_of_one_name_are_of_one_kind(void **state)
{
    const struct config_section *section = CONFIG_SECTIONS;
    const struct option_spec *spec;
    size_t index = 0;

    (void)state;
    while ((spec = next_option(&section, &index)))
        for (const struct config_section *other = CONFIG_SECTIONS; other->name; other++) {
            const struct option_spec *twin = option_find(other->options, str_from(spec->name));

            assert_string_not_equal(spec->name, other->name);
            assert_true(!twin || twin->kind == spec->kind);
            assert_true(!twin || twin->command_line_only == spec->command_line_only);
        }
}

/* What is secret is in files of its own: the command line is anybody's to read in /proc, and what
 * --print-config and /config show may go into a ticket. */
static void secrets_are_named_not_given(void **state)
{
    static const char *const SECRETS[] = {"key", "secret", "password", "token", "certificate"};
    const struct config_section *section = CONFIG_SECTIONS;
    const struct option_spec *spec;
    size_t index = 0;

    (void)state;
    while ((spec = next_option(&section, &index)))
        for (size_t i = 0; i < sizeof(SECRETS) / sizeof(SECRETS[0]); i++)
            if (strstr(spec->name, SECRETS[i]) && (!spec->value || !strstr(spec->value, "FILE")))
                fail_msg("--%s takes no FILE", spec->name);
}

/* Loads a file while one allocation fails.  Returns false when there are not so many. */
static bool load_without_memory(size_t number, bool stays)
{
    static const char TEXT[] = "version: 1\n"
                               "pin-dir: /run/x\n"
                               "agent:\n"
                               "  interface: [eth0, eth1]\n"
                               "  port: 80,443\n"
                               "  max-live: 500\n"
                               "serve: {redirect-port: [15006]}\n";
    struct agent_options target = {0};
    const struct options_given none = {0};
    struct config_file *file = NULL;
    struct diag diag = {0};
    size_t live = failing_memory.live;
    bool failed;
    int r;

    failing_memory_arm(number, stays);
    r = config_file_parse(str_from(TEXT), "x.yaml", "agent", &none, &target, &file, &diag);
    failed = failing_memory_disarm();
    if (r < 0 && (r != -ENOMEM || !failed))
        fail_msg("allocation %zu: %d, %s", number, r, diag.text);
    assert_int_equal(r < 0, file == NULL);
    config_file_freep(&file);
    if (failing_memory.live != live)
        fail_msg("allocation %zu: %zu others are not freed", number, failing_memory.live - live);
    return failed;
}

static void each_allocation_of_a_load_may_fail(void **state)
{
    (void)state;
    for (int stays = 0; stays < 2; stays++) {
        size_t number = 0;

        while (load_without_memory(number, stays))
            number++;
        assert_true(number > 30);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_option_says_what_it_is),
        cmocka_unit_test(options_of_one_name_are_of_one_kind),
        cmocka_unit_test(secrets_are_named_not_given),
        cmocka_unit_test(each_allocation_of_a_load_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
