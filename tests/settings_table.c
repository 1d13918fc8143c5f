/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the options of a section of the configuration file as a Markdown table, for
 * settings_doc.py, which puts it into docs/settings.md or compares. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_file.h"
#include "num.h"

/* A cell of a table: no newline, and '|' would end it. */
static void print_cell(const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            (void)fputs("\\|", stdout);
        else
            (void)putchar(*text == '\n' ? ' ' : *text);
    }
}

static void print_range(const struct option_spec *spec)
{
    char min[NUM_TEXT_MAX], max[NUM_TEXT_MAX];

    switch (spec->kind) {
    case OPTION_NUMBER:
        (void)printf(", %" PRIu64 " to %" PRIu64, spec->min, spec->max);
        return;
    case OPTION_DURATION:
        (void)printf(", %s to %s", num_format_duration_ms(spec->min, min),
                     num_format_duration_ms(spec->max, max));
        return;
    case OPTION_SIZE:
        (void)printf(", %s to %s", num_format_size(spec->min, min),
                     num_format_size(spec->max, max));
        return;
    case OPTION_LIST:
        (void)fputs(", a list", stdout);
        return;
    default:
        return;
    }
}

static void print_value(const struct option_spec *spec)
{
    if (spec->kind == OPTION_FLAG) {
        (void)fputs("`true` or `false`", stdout);
        return;
    }
    (void)putchar('`');
    print_cell(spec->value);
    (void)putchar('`');
    print_range(spec);
}

static void print_default(const struct option_spec *spec)
{
    if (spec->default_text)
        (void)printf("`%s`", spec->default_text);
    else if (spec->kind == OPTION_FLAG)
        (void)fputs("`false`", stdout);
}

static void print_row(const struct option_spec *spec)
{
    (void)printf("| `%s` | ", spec->name);
    print_value(spec);
    (void)fputs(" | ", stdout);
    print_default(spec);
    (void)printf(" | %s | ", spec->live ? "SIGHUP" : "restart");
    print_cell(spec->help);
    (void)puts(" |");
}

static int print_section(const struct config_section *section)
{
    (void)puts("| setting | value | default | changed by | what it is |\n"
               "|---|---|---|---|---|");
    for (size_t i = 0; i < section->options->count; i++)
        if (!section->options->specs[i].command_line_only)
            print_row(&section->options->specs[i]);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    for (const struct config_section *section = CONFIG_SECTIONS; section->name; section++)
        if (argc == 2 && strcmp(argv[1], section->name) == 0)
            return print_section(section);
    (void)fputs("usage: settings_table agent|serve\n", stderr);
    return EXIT_FAILURE;
}
