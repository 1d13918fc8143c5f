/* SPDX-License-Identifier: Apache-2.0 */
#include "config_page.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent_settings.h"
#include "cleanup.h"
#include "command_line.h"

static char *text_of(struct config_page *page)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    config_page_print(page, out);
    (void)fclose(out);
    return text;
}

static void assert_says(struct config_page *page, const char *wanted)
{
    CLEANUP(freep) char *text = text_of(page);

    if (!strstr(text, wanted))
        fail_msg("no %s in\n%s", wanted, text);
}

static struct settings_view view_of(const struct agent_options *options,
                                    const struct options_given *given,
                                    const struct config_file *file)
{
    return (struct settings_view){
        .verb = "agent",
        .table = &AGENT_OPTIONS,
        .values = options,
        .values_size = sizeof(*options),
        .given = given,
        .file = file,
    };
}

static void before_the_loop_has_said_anything_there_is_nothing(void **state)
{
    struct config_page page;

    (void)state;
    config_page_init(&page);
    assert_says(&page, "\"settings\":null,\"config_reload\":{\"loaded\":\"");
    config_page_done(&page);
}

static void what_was_read_last_is_shown(void **state)
{
    CLEANUP(config_file_freep) struct config_file *file = NULL;
    struct agent_options options = {0}, later;
    struct command_line line;
    struct config_page page;
    struct diag diag = {0};
    struct settings_view running, wanted;

    (void)state;
    assert_int_equal(command_line_parse(&line, "--port 80", &AGENT_OPTIONS, &options, &diag), 0);
    later = options;
    assert_int_equal(config_file_parse(STR("version: 1\nagent: {syn-rate: 7}\n"), "x.yaml", "agent",
                                       &line.given, &later, &file, &diag),
                     0);
    running = view_of(&options, &line.given, NULL);
    wanted = view_of(&later, &line.given, file);
    config_page_init(&page);

    config_page_update(&page, &running, &running);
    assert_says(&page, "\"config_file\":null,\"settings\":{\"interface\":{");
    assert_says(&page, "\"syn-rate\":{\"value\":1000,\"from\":\"default\"}");
    config_page_update(&page, &running, &wanted);
    assert_says(&page, "\"config_file\":\"x.yaml\",\"settings\":{");
    assert_says(&page, "\"syn-rate\":{\"value\":7,\"from\":\"x.yaml:2\"}");

    reload_log_note(&page.reloads, -EINVAL, &(struct diag){.text = "unknown key"});
    assert_says(&page, "\"error\":\"unknown key\"}}");
    config_page_done(&page);
    command_line_done(&line, &AGENT_OPTIONS, &options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_the_loop_has_said_anything_there_is_nothing),
        cmocka_unit_test(what_was_read_last_is_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
