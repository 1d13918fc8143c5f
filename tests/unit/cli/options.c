/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

static const char *const FORMATS[] = {"text", "json", NULL};

static int check_port(struct str item, struct diag *diag)
{
    return str_eq(item, STR("80")) || str_eq(item, STR("443"))
               ? 0
               : diag_set(diag, -EINVAL, "expected 80 or 443");
}

static int check_file(struct str value, struct diag *diag)
{
    if (str_eq(value, STR("short-of-memory")))
        return -ENOMEM;
    return str_has_prefix(value, STR("/")) ? 0 : diag_set(diag, -ENOENT, "expected a path");
}

struct target {
    bool verbose;
    const char *file;
    const char *path;
    struct text_list ports, checked_ports;
    uint64_t threads, timeout_ms, limit;
    unsigned output;
};

#define AT(field) offsetof(struct target, field)
static const struct option_spec SPECS[] = {
    {.name = "verbose", .kind = OPTION_FLAG, .help = "say more", .offset = AT(verbose)},
    {.name = "file",
     .kind = OPTION_TEXT,
     .value = "FILE",
     .help = "a file",
     .offset = AT(file),
     .default_text = "/dev/null"},
    {.name = "port",
     .kind = OPTION_LIST,
     .value = "N[,N...]",
     .help = "ports",
     .offset = AT(ports)},
    {.name = "path",
     .kind = OPTION_TEXT,
     .value = "PATH",
     .help = "with a check",
     .offset = AT(path),
     .check = check_file},
    {.name = "web-port",
     .kind = OPTION_LIST,
     .value = "N[,N...]",
     .help = "each item is checked",
     .offset = AT(checked_ports),
     .check = check_port,
     .items = true,
     .default_text = "80,443"},
    {.name = "threads",
     .kind = OPTION_NUMBER,
     .value = "N",
     .help = "one line\nand another",
     .default_text = "2",
     .offset = AT(threads),
     .min = 1,
     .max = 8},
    {.name = "timeout",
     .kind = OPTION_DURATION,
     .value = "DURATION",
     .help = "how long",
     .default_text = "5s",
     .offset = AT(timeout_ms),
     .min = 10,
     .max = 60000},
    {.name = "limit",
     .kind = OPTION_SIZE,
     .value = "SIZE",
     .help = "how much",
     .offset = AT(limit),
     .max = 64 << 20},
    {.name = "output",
     .letter = 'o',
     .kind = OPTION_CHOICE,
     .value = "text|json",
     .help = "format",
     .offset = AT(output),
     .default_text = "json",
     .choices = FORMATS},
};
#undef AT
static const struct option_table TABLE = {SPECS, OPTION_COUNT(SPECS)};

/* One command line, split at blanks. */
struct run {
    char *argv[16];
    int argc;
    struct target target;
    struct text_list operands;
    struct options_given given;
    struct diag diag;
    char *line;
};

static int parse(struct run *run, const char *line)
{
    char *word;

    *run = (struct run){.line = strdup(line)};
    for (word = strtok(run->line, " "); word; word = strtok(NULL, " "))
        run->argv[run->argc++] = word;
    return options_parse(&TABLE, run->argc, run->argv, &run->target, &run->operands, &run->given,
                         &run->diag);
}

static void done(struct run *run)
{
    options_done(&TABLE, &run->target);
    free(run->operands.items);
    free(run->line);
}

static void values_come_behind_equals_or_as_the_next_argument(void **state)
{
    struct run run;

    (void)state;
    assert_int_equal(parse(&run, "--file=a --threads 3 -o text --verbose"), 0);
    assert_string_equal(run.target.file, "a");
    assert_int_equal(run.target.threads, 3);
    assert_int_equal(run.target.output, 0);
    assert_true(run.target.verbose);
    done(&run);
    assert_int_equal(parse(&run, "--timeout 200ms --limit=1536KiB"), 0);
    assert_int_equal(run.target.timeout_ms, 200);
    assert_int_equal(run.target.limit, 1536 << 10);
    done(&run);
    assert_int_equal(parse(&run, "-ojson --file -"), 0);
    assert_int_equal(run.target.output, 1);
    assert_string_equal(run.target.file, "-");
    done(&run);
}

static void lists_repeat_and_operands_stay_in_order(void **state)
{
    struct run run;

    (void)state;
    assert_int_equal(parse(&run, "one --port 1,2 two --port=3 -- --port"), 0);
    assert_int_equal(run.target.ports.count, 2);
    assert_string_equal(run.target.ports.items[0], "1,2");
    assert_string_equal(run.target.ports.items[1], "3");
    assert_int_equal(run.operands.count, 3);
    assert_string_equal(run.operands.items[2], "--port");
    done(&run);
}

static void help_wins_wherever_it_stands(void **state)
{
    struct run run;

    (void)state;
    assert_int_equal(parse(&run, "--file a --help"), 1);
    done(&run);
    assert_int_equal(parse(&run, "-h"), 1);
    done(&run);
    assert_int_equal(parse(&run, "--file --help"), 0); /* a value, not an option */
    done(&run);
}

static void wrong_command_lines_say_what_is_wrong(void **state)
{
    static const struct {
        const char *line, *message;
    } ROWS[] = {
        {"--flie a", "unknown option --flie, did you mean --file?"},
        {"--zzz", "unknown option --zzz"},
        {"-x", "unknown option -x"},
        {"--fil a", "unknown option --fil, did you mean --file?"},
        {"--file", "--file needs a value: FILE"},
        {"--file=", "--file needs a value that is not empty: FILE"},
        {"--file a --file b", "--file is given twice"},
        {"--verbose=yes", "--verbose takes no value"},
        {"--threads 0", "--threads 0: expected a number from 1 to 8"},
        {"--threads 9", "--threads 9: expected a number from 1 to 8"},
        {"--threads 3x", "--threads 3x: expected a number from 1 to 8"},
        {"--threads=-1", "--threads -1: expected a number from 1 to 8"},
        {"--timeout 5", "--timeout 5: expected a duration from 10ms to 1m, in ms, s, m, h or d"},
        {"--timeout 2m", "--timeout 2m: expected a duration from 10ms to 1m, in ms, s, m, h or d"},
        {"--limit 65MiB", "--limit 65MiB: expected a size from 0 to 64MiB, in B, KiB, MiB or GiB"},
        {"--output xml", "--output xml: expected text|json"},
        {"--path relative,/x", "--path relative,/x: expected a path"},
        {"--web-port 81", "--web-port 81: expected 80 or 443"},
        {"--web-port 80 --web-port 443,81,82", "--web-port 81: expected 80 or 443"},
        {"--web-port 80,", "--web-port : expected 80 or 443"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct run run;

        assert_true(parse(&run, ROWS[i].line) < 0);
        assert_string_equal(run.diag.text, ROWS[i].message);
        done(&run);
    }
}

static void a_check_that_fails_without_a_message_is_passed_on(void **state)
{
    struct run run;

    (void)state;
    assert_int_equal(parse(&run, "--path short-of-memory"), -ENOMEM);
    assert_string_equal(run.diag.text, "");
    done(&run);
}

static void what_the_command_line_named_is_known(void **state)
{
    struct run run;

    (void)state;
    assert_int_equal(parse(&run, "--threads 1 --web-port 80,443 --verbose operand"), 0);
    for (size_t i = 0; i < TABLE.count; i++) {
        const char *name = TABLE.specs[i].name;
        bool named = strcmp(name, "threads") == 0 || strcmp(name, "web-port") == 0 ||
                     strcmp(name, "verbose") == 0;

        assert_int_equal(options_is_given(&run.given, i), named);
    }
    done(&run);
}

static void defaults_hold_until_something_else_is_said(void **state)
{
    struct run run;

    (void)state;
    assert_int_equal(parse(&run, ""), 0);
    assert_string_equal(run.target.file, "/dev/null");
    assert_int_equal(run.target.threads, 2);
    assert_int_equal(run.target.timeout_ms, 5000);
    assert_int_equal(run.target.output, 1);
    assert_int_equal(run.target.checked_ports.count, 1);
    assert_string_equal(run.target.checked_ports.items[0], "80,443");
    assert_int_equal(run.target.ports.count, 0);
    assert_int_equal(run.given.bits, 0);
    done(&run);
    assert_int_equal(parse(&run, "--file a --threads 3 --web-port 443 --web-port 80"), 0);
    assert_string_equal(run.target.file, "a");
    assert_int_equal(run.target.threads, 3);
    assert_int_equal(run.target.checked_ports.count, 2); /* the default is none of them */
    assert_string_equal(run.target.checked_ports.items[0], "443");
    done(&run);
}

static void help_lists_every_option_with_its_value(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    options_print_help(&TABLE, out);
    (void)fclose(out);
    for (size_t i = 0; i < TABLE.count; i++)
        assert_non_null(strstr(text, TABLE.specs[i].name));
    assert_non_null(strstr(text, "--threads N"));
    assert_non_null(strstr(text, "\n                              and another (default 2)\n"));
    assert_non_null(strstr(text, "-h --help"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_behind_equals_or_as_the_next_argument),
        cmocka_unit_test(lists_repeat_and_operands_stay_in_order),
        cmocka_unit_test(help_wins_wherever_it_stands),
        cmocka_unit_test(wrong_command_lines_say_what_is_wrong),
        cmocka_unit_test(a_check_that_fails_without_a_message_is_passed_on),
        cmocka_unit_test(what_the_command_line_named_is_known),
        cmocka_unit_test(defaults_hold_until_something_else_is_said),
        cmocka_unit_test(help_lists_every_option_with_its_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
