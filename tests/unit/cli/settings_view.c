/* SPDX-License-Identifier: Apache-2.0 */
#include "settings_view.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent_settings.h"
#include "cleanup.h"
#include "command_line.h"
#include "options_changed.h"
#include "serve_settings.h"

union any_options {
    struct agent_options agent;
    struct serve_options serve;
};

/* --- every option ----------------------------------------------------------------------------- */

/* An option has a value among these, or it could not be tested. */
static const char *const VALUES[] = {
    "7\" of # text: {a, b}, \xc3\xa9\\n 'c' - %{x}",
    "/a path/with: # all",
    "unix:/run/x y,mode=0660",
    "none",
    "nobody",
    "any",
    "192.0.2.0/24,2001:db8::/32",
    "80,443",
    "7",
    "503",
    "2000",
    "7s",
    "1500ms",
    "1h",
    "5KiB",
    "7MiB",
};

static const char *a_value_for(const struct option_spec *spec)
{
    if (spec->kind == OPTION_CHOICE)
        return spec->choices[1];
    for (size_t i = 0; i < sizeof(VALUES) / sizeof(VALUES[0]); i++) {
        struct diag diag = {0};
        struct str item;

        if (option_check(spec, str_from(VALUES[i]), &item, &diag) == 0)
            return VALUES[i];
    }
    fail_msg("no value in this test is good for --%s: add one", spec->name);
    return NULL;
}

static char *print_yaml(const struct settings_view *view)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct diag diag = {0};

    assert_non_null(out);
    if (settings_print_yaml(view, out, &diag) < 0)
        fail_msg("%s", diag.text);
    (void)fclose(out);
    return text;
}

static struct settings_view view_of(const struct config_section *section,
                                    const union any_options *options,
                                    const struct options_given *given,
                                    const struct config_file *file)
{
    return (struct settings_view){
        .verb = section->name,
        .table = section->options,
        .values = options,
        .values_size = sizeof(*options),
        .given = given,
        .file = file,
    };
}

/* Given on the command line, printed, read, and printed again. */
static void assert_comes_back(const struct config_section *section, size_t index)
{
    const struct option_spec *spec = &section->options->specs[index];
    const bool is_flag = spec->kind == OPTION_FLAG;
    char name[64], value[128];
    char *argv[] = {name, value};
    union any_options said = {0}, read = {0};
    struct options_given given, none = {0};
    struct text_list operands = {0};
    CLEANUP(config_file_freep) struct config_file *file = NULL;
    struct diag diag = {0};
    char names[256];

    (void)snprintf(name, sizeof(name), "--%s", spec->name);
    (void)snprintf(value, sizeof(value), "%s", is_flag ? "" : a_value_for(spec));
    assert_int_equal(
        options_parse(section->options, is_flag ? 1 : 2, argv, &said, &operands, &given, &diag), 0);
    {
        const struct settings_view view = view_of(section, &said, &given, NULL);
        CLEANUP(freep) char *text = print_yaml(&view);

        if (config_file_parse(str_from(text), "x.yaml", section->name, &none, &read, &file, &diag) <
            0)
            fail_msg("--%s: %s in\n%s", spec->name, diag.text, text);
    }
    assert_string_equal(options_changed(section->options, &said, &read, names, sizeof(names)), "");
    assert_true(config_file_line(file, index) > 2);
    options_done(section->options, &said);
}

static void each_option_comes_back_as_it_was_given(void **state)
{
    size_t options = 0;

    (void)state;
    for (const struct config_section *section = CONFIG_SECTIONS; section->name; section++)
        for (size_t i = 0; i < section->options->count; i++)
            if (!section->options->specs[i].command_line_only) {
                assert_comes_back(section, i);
                options++;
            }
    assert_true(options > 20);
}

/* --- origins ---------------------------------------------------------------------------------- */

static const char FILE_TEXT[] = "version: 1\n"
                                "pin-dir: /run/x\n"
                                "agent:\n"
                                "  interface: []\n"
                                "  max-live: 500\n"
                                "  syn-rate: 7\n";

/* The agent with a file and a command line. */
struct setting {
    struct command_line line;
    union any_options given, options;
    struct config_file *file;
    struct settings_view view;
};

static void set_up(struct setting *setting, const char *line, const char *name)
{
    struct diag diag = {0};

    *setting = (struct setting){0};
    assert_int_equal(
        command_line_parse(&setting->line, line, &AGENT_OPTIONS, &setting->given, &diag), 0);
    setting->options = setting->given;
    assert_int_equal(config_file_parse(str_from(FILE_TEXT), name, "agent", &setting->line.given,
                                       &setting->options, &setting->file, &diag),
                     0);
    setting->view =
        view_of(&CONFIG_SECTIONS[0], &setting->options, &setting->line.given, setting->file);
}

static void tear_down(struct setting *setting)
{
    config_file_freep(&setting->file);
    command_line_done(&setting->line, &AGENT_OPTIONS, &setting->given);
}

static void assert_contains(const char *text, const char *wanted)
{
    if (!strstr(text, wanted))
        fail_msg("no \"%s\" in\n%s", wanted, text);
}

static void each_value_says_where_it_is_from(void **state)
{
    struct setting setting;

    (void)state;
    set_up(&setting, "--port 80 --port 443 --syn-rate 9", "x.yaml");
    {
        CLEANUP(freep) char *text = print_yaml(&setting.view);

        assert_contains(text, "version: 1\nagent:\n");
        assert_contains(text, "\n  interface: []                            # x.yaml:4\n");
        assert_contains(text, "\n  port:                                    # command line\n"
                              "    - \"80\"\n    - \"443\"\n");
        assert_contains(text, "\n  syn-rate: 9                              # command line\n");
        assert_contains(text, "\n  max-live: 500                            # x.yaml:5\n");
        assert_contains(text, "\n  pin-dir: \"/run/x\"                        # x.yaml:2\n");
        assert_contains(text, "\n  captured-seconds: 60                     # default\n");
        assert_contains(text, "\n  # group: NAME|GID                        # not set\n");
        assert_null(strstr(text, "print-config"));
    }
    tear_down(&setting);
}

static void a_files_name_cannot_end_its_comment(void **state)
{
    struct setting setting;

    (void)state;
    set_up(&setting, "--port 80", "x\n  max-live: 600\n#.yaml");
    {
        CLEANUP(freep) char *text = print_yaml(&setting.view);

        assert_contains(text, "# x\\n  max-live: 600\\n#.yaml:5\n");
    }
    tear_down(&setting);
}

static void what_no_yaml_can_say_is_refused(void **state)
{
    static const char *const BAD[] = {"\xff", "a\xc3", "\xc2\x80"};
    union any_options options = {0};
    struct options_given given = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_int_equal(options_set_defaults(&SERVE_OPTIONS, &options), 0);
    given.bits = 1; /* of --policy */
    assert_string_equal(SERVE_OPTIONS.specs[0].name, "policy");
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        const struct settings_view view = view_of(&CONFIG_SECTIONS[1], &options, &given, NULL);
        struct diag diag = {0};

        options.serve.policy = BAD[i];
        assert_int_equal(settings_print_yaml(&view, out, &diag), -EILSEQ);
        assert_contains(diag.text, "cannot be written in YAML");
    }
    (void)fclose(out);
    assert_string_equal(text, "");
    free(text);
    options_done(&SERVE_OPTIONS, &options);
}

static void json_says_the_same(void **state)
{
    struct setting setting;
    CLEANUP(freep) char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    set_up(&setting, "--port 80 --port 443", "x.yaml");
    settings_print_json(&setting.view, &setting.view, out);
    (void)fclose(out);
    assert_contains(text, "{\"interface\":{\"value\":[],\"from\":\"x.yaml:4\"},");
    assert_contains(text, ",\"port\":{\"value\":[\"80\",\"443\"],\"from\":\"command line\"},");
    assert_contains(text, ",\"prefix\":{\"value\":null,\"from\":\"not set\"},");
    assert_contains(text, ",\"capture\":{\"value\":\"auto\",\"from\":\"default\"},");
    assert_contains(text, ",\"max-live\":{\"value\":500,\"from\":\"x.yaml:5\"},");
    assert_null(strstr(text, "print-config"));
    tear_down(&setting);
}

static void what_waits_for_a_restart_is_said(void **state)
{
    CLEANUP(config_file_freep) struct config_file *file = NULL;
    CLEANUP(freep) char *text = NULL;
    union any_options later;
    struct settings_view wanted;
    struct setting setting;
    struct diag diag = {0};
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    set_up(&setting, "--port 80", "x.yaml");
    later = setting.given;
    assert_int_equal(config_file_parse(STR("version: 1\nagent:\n  max-live: 600\n  syn-rate: 8\n"),
                                       "y.yaml", "agent", &setting.line.given, &later, &file,
                                       &diag),
                     0);
    wanted = view_of(&CONFIG_SECTIONS[0], &later, &setting.line.given, file);
    settings_print_json(&setting.view, &wanted, out);
    (void)fclose(out);
    assert_contains(text, ",\"max-live\":{\"value\":500,\"from\":\"x.yaml:5\","
                          "\"after_restart\":600},");
    assert_contains(text, ",\"syn-rate\":{\"value\":8,\"from\":\"y.yaml:4\"},");
    assert_contains(text, ",\"pin-dir\":{\"value\":\"/run/x\",\"from\":\"x.yaml:2\","
                          "\"after_restart\":\"/run/synauthz/bpf\"},");
    tear_down(&setting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_option_comes_back_as_it_was_given),
        cmocka_unit_test(each_value_says_where_it_is_from),
        cmocka_unit_test(a_files_name_cannot_end_its_comment),
        cmocka_unit_test(what_no_yaml_can_say_is_refused),
        cmocka_unit_test(json_says_the_same),
        cmocka_unit_test(what_waits_for_a_restart_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
