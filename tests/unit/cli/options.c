/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

static const char *const FORMATS[] = {"text", "json", NULL};

struct target {
    bool verbose;
    const char *file;
    struct text_list ports;
    uint64_t threads;
    unsigned output;
};

#define AT(field) offsetof(struct target, field)
static const struct option_spec SPECS[] = {
    {.name = "verbose", .kind = OPTION_FLAG, .help = "say more", .offset = AT(verbose)},
    {.name = "file", .kind = OPTION_TEXT, .value = "FILE", .help = "a file", .offset = AT(file)},
    {.name = "port",
     .kind = OPTION_LIST,
     .value = "N[,N...]",
     .help = "ports",
     .offset = AT(ports)},
    {.name = "threads",
     .kind = OPTION_NUMBER,
     .value = "N",
     .help = "one line\nand another",
     .offset = AT(threads),
     .min = 1,
     .max = 8},
    {.name = "output",
     .letter = 'o',
     .kind = OPTION_CHOICE,
     .value = "text|json",
     .help = "format",
     .offset = AT(output),
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
    assert_int_equal(parse(&run, "--file=a --threads 3 -o json --verbose"), 0);
    assert_string_equal(run.target.file, "a");
    assert_int_equal(run.target.threads, 3);
    assert_int_equal(run.target.output, 1);
    assert_true(run.target.verbose);
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
        {"--output xml", "--output xml: expected text|json"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct run run;

        assert_int_equal(parse(&run, ROWS[i].line), -EINVAL);
        assert_string_equal(run.diag.text, ROWS[i].message);
        done(&run);
    }
}

static int collect(struct str item, void *context, struct diag *diag)
{
    char *text = context;

    if (str_eq(item, STR("bad")))
        return diag_set(diag, -EINVAL, "bad item");
    strncat(text, "[", 2);
    strncat(text, item.ptr, item.len);
    strncat(text, "]", 2);
    return 0;
}

static void list_items_are_split_at_commas(void **state)
{
    const char *items[] = {"80,443", "8080"}, *bad[] = {"1,bad,2"};
    struct text_list list = {items, 2};
    struct diag diag = {0};
    char text[64] = "";

    (void)state;
    assert_int_equal(options_each_item(&list, collect, text, &diag), 0);
    assert_string_equal(text, "[80][443][8080]");
    list = (struct text_list){bad, 1};
    assert_int_equal(options_each_item(&list, collect, text, &diag), -EINVAL);
    assert_string_equal(text, "[80][443][8080][1]");
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
    assert_non_null(strstr(text, "\n                              and another\n"));
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
        cmocka_unit_test(list_items_are_split_at_commas),
        cmocka_unit_test(help_lists_every_option_with_its_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
