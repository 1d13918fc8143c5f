/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "num.h"

enum { CANDIDATES_MAX = OPTIONS_MAX + 1, HELP_COLUMN = 30, HELP_WIDTH = 56 };

static int text_list_append(struct text_list *list, const char *item)
{
    const char **items = realloc(list->items, (list->count + 1) * sizeof(*items));

    if (!items)
        return -ENOMEM;
    items[list->count++] = item;
    list->items = items;
    return 0;
}

const struct option_spec *option_find(const struct option_table *table, struct str name)
{
    for (size_t i = 0; i < table->count; i++)
        if (str_eq(name, str_from(table->specs[i].name)))
            return &table->specs[i];
    return NULL;
}

static const struct option_spec *find_letter(const struct option_table *table, char letter)
{
    for (size_t i = 0; i < table->count; i++)
        if (letter && table->specs[i].letter == letter)
            return &table->specs[i];
    return NULL;
}

static int refuse_unknown(const struct option_table *table, struct str name, struct diag *diag)
{
    const char *names[CANDIDATES_MAX] = {"help"};
    size_t count = 1;
    const char *nearest;

    for (size_t i = 0; i < table->count && count < CANDIDATES_MAX; i++)
        names[count++] = table->specs[i].name;
    nearest = diag_nearest(name, names, count);
    if (nearest)
        return diag_set(diag, -EINVAL, "unknown option --%" PRIstr ", did you mean --%s?",
                        STR_ARG(name), nearest);
    return diag_set(diag, -EINVAL, "unknown option --%" PRIstr, STR_ARG(name));
}

/* --- values ----------------------------------------------------------------------------------- */

/* The number of the choice, or the number of all choices when it is none of them. */
static unsigned choice_index(const struct option_spec *spec, struct str value)
{
    unsigned i = 0;

    while (spec->choices[i] && !str_eq(value, str_from(spec->choices[i])))
        i++;
    return i;
}

static int check_number(const struct option_spec *spec, struct str value, struct diag *diag)
{
    uint64_t number;

    if (num_parse_u64(value, spec->min, spec->max, &number) < 0)
        return diag_set(diag, -EINVAL, "expected a number from %" PRIu64 " to %" PRIu64, spec->min,
                        spec->max);
    return 0;
}

static int check_duration(const struct option_spec *spec, struct str value, struct diag *diag)
{
    char min[NUM_TEXT_MAX], max[NUM_TEXT_MAX];
    uint64_t ms;

    if (num_parse_duration_ms(value, spec->min, spec->max, &ms) < 0)
        return diag_set(diag, -EINVAL, "expected a duration from %s to %s, in ms, s, m, h or d",
                        num_format_duration_ms(spec->min, min),
                        num_format_duration_ms(spec->max, max));
    return 0;
}

static int check_size(const struct option_spec *spec, struct str value, struct diag *diag)
{
    char min[NUM_TEXT_MAX], max[NUM_TEXT_MAX];
    uint64_t bytes;

    if (num_parse_size(value, spec->min, spec->max, &bytes) < 0)
        return diag_set(diag, -EINVAL, "expected a size from %s to %s, in B, KiB, MiB or GiB",
                        num_format_size(spec->min, min), num_format_size(spec->max, max));
    return 0;
}

static int check_text(const struct option_spec *spec, struct str value, struct str *ret_item,
                      struct diag *diag)
{
    struct str rest = value;
    int r = 0;

    if (!spec->check)
        return 0;
    if (!spec->items)
        return spec->check(value, diag);
    while (r == 0 && str_next_field(&rest, ',', ret_item))
        r = spec->check(*ret_item, diag);
    return r;
}

int option_check(const struct option_spec *spec, struct str value, struct str *ret_item,
                 struct diag *diag)
{
    *ret_item = value;
    switch (spec->kind) {
    case OPTION_NUMBER:
        return check_number(spec, value, diag);
    case OPTION_DURATION:
        return check_duration(spec, value, diag);
    case OPTION_SIZE:
        return check_size(spec, value, diag);
    case OPTION_CHOICE:
        if (!spec->choices[choice_index(spec, value)])
            return diag_set(diag, -EINVAL, "expected %s", spec->value);
        return 0;
    case OPTION_TEXT:
    case OPTION_LIST:
        return check_text(spec, value, ret_item, diag);
    case OPTION_FLAG:
        break;
    }
    return -EINVAL;
}

void option_store(const struct option_spec *spec, const char *value, void *target)
{
    void *slot = option_slot(spec, target);
    const struct str text = str_from(value);

    switch (spec->kind) {
    case OPTION_TEXT:
        *(const char **)slot = value;
        return;
    case OPTION_CHOICE:
        *(unsigned *)slot = choice_index(spec, text);
        return;
    case OPTION_NUMBER:
        (void)num_parse_u64(text, spec->min, spec->max, slot);
        return;
    case OPTION_DURATION:
        (void)num_parse_duration_ms(text, spec->min, spec->max, slot);
        return;
    case OPTION_SIZE:
        (void)num_parse_size(text, spec->min, spec->max, slot);
        return;
    case OPTION_FLAG:
    case OPTION_LIST:
        return;
    }
}

int options_set_defaults(const struct option_table *table, void *target)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct option_spec *spec = &table->specs[i];

        if (!spec->default_text)
            continue;
        if (spec->kind == OPTION_LIST &&
            text_list_append(option_slot(spec, target), spec->default_text) < 0)
            return -ENOMEM;
        option_store(spec, spec->default_text, target);
    }
    return 0;
}

/* --- the command line ------------------------------------------------------------------------- */

static int check_argument(const struct option_spec *spec, const char *value, struct diag *diag)
{
    struct diag wrong = {0};
    struct str item;
    int r = option_check(spec, str_from(value), &item, &wrong);

    if (r < 0 && wrong.text[0])
        return diag_set(diag, r, "--%s %" PRIstr ": %s", spec->name, STR_ARG(item), wrong.text);
    return r;
}

/* Of what is one value, a second one is no correction but a mistake, so far as the first was text.
 */
static int store_argument(const struct option_spec *spec, const char *value, bool is_second,
                          void *target, struct diag *diag)
{
    void *slot = option_slot(spec, target);
    int r;

    if (spec->kind == OPTION_FLAG) {
        *(bool *)slot = true;
        return 0;
    }
    if (spec->kind == OPTION_TEXT && is_second)
        return diag_set(diag, -EINVAL, "--%s is given twice", spec->name);
    r = check_argument(spec, value, diag);
    if (r < 0)
        return r;
    if (spec->kind != OPTION_LIST) {
        option_store(spec, value, target);
        return 0;
    }
    if (!is_second)
        ((struct text_list *)slot)->count = 0; /* the default */
    return text_list_append(slot, value);
}

/* The value of an option: behind '=' or the next argument. `inline_value` NULL means there was no
 * '='. */
static int take_value(const struct option_spec *spec, const char *inline_value, int argc,
                      char **argv, int *index, const char **ret_value, struct diag *diag)
{
    *ret_value = inline_value;
    if (spec->kind == OPTION_FLAG) {
        if (inline_value)
            return diag_set(diag, -EINVAL, "--%s takes no value", spec->name);
        return 0;
    }
    if (!inline_value) {
        if (*index + 1 >= argc)
            return diag_set(diag, -EINVAL, "--%s needs a value: %s", spec->name, spec->value);
        *ret_value = argv[++*index];
    }
    if (!**ret_value)
        return diag_set(diag, -EINVAL, "--%s needs a value that is not empty: %s", spec->name,
                        spec->value);
    return 0;
}

/* Returns 0 with the option and the text behind '=' (or NULL), 1 for help, or -EINVAL. */
static int recognise(const struct option_table *table, const char *argument,
                     const struct option_spec **ret_spec, const char **ret_inline_value,
                     struct diag *diag)
{
    const char *equals = NULL;
    struct str name;

    if (argument[1] != '-') {
        if (strcmp(argument, "-h") == 0)
            return 1;
        *ret_spec = find_letter(table, argument[1]);
        if (!*ret_spec)
            return diag_set(diag, -EINVAL, "unknown option %s", argument);
        *ret_inline_value = argument[2] ? argument + 2 : NULL;
        return 0;
    }
    name = str_from(argument + 2);
    if (str_eq(name, STR("help")))
        return 1;
    equals = strchr(argument, '=');
    if (equals)
        name.len = (size_t)(equals - name.ptr);
    *ret_spec = option_find(table, name);
    if (!*ret_spec)
        return refuse_unknown(table, name, diag);
    *ret_inline_value = equals ? equals + 1 : NULL;
    return 0;
}

int options_parse(const struct option_table *table, int argc, char **argv, void *target,
                  struct text_list *ret_operands, struct options_given *ret_given,
                  struct diag *diag)
{
    bool options_ended = false;
    int r = options_set_defaults(table, target);

    assert(table->count <= OPTIONS_MAX);
    *ret_given = (struct options_given){0};
    if (r < 0)
        return r;

    for (int i = 0; i < argc; i++) {
        const struct option_spec *spec = NULL;
        const char *inline_value = NULL, *value = NULL;
        size_t index;

        if (options_ended || argv[i][0] != '-' || !argv[i][1]) {
            r = text_list_append(ret_operands, argv[i]);
            if (r < 0)
                return r;
            continue;
        }
        if (strcmp(argv[i], "--") == 0) {
            options_ended = true;
            continue;
        }
        r = recognise(table, argv[i], &spec, &inline_value, diag);
        if (r != 0)
            return r;
        r = take_value(spec, inline_value, argc, argv, &i, &value, diag);
        if (r < 0)
            return r;
        index = (size_t)(spec - table->specs);
        r = store_argument(spec, value, options_is_given(ret_given, index), target, diag);
        if (r < 0)
            return r;
        ret_given->bits |= (uint64_t)1 << index;
    }
    return 0;
}

void options_done(const struct option_table *table, void *target)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->specs[i].kind == OPTION_LIST) {
            struct text_list *list = option_slot(&table->specs[i], target);

            free(list->items);
            *list = (struct text_list){0};
        }
}

/* `default_text` stands behind the last line where there is room. */
static void print_help_text(const char *help, const char *default_text, FILE *out)
{
    const char *line = help;

    for (;;) {
        size_t length = strcspn(line, "\n");

        (void)fprintf(out, "%.*s", (int)length, line);
        if (!line[length]) {
            if (default_text && length + strlen(default_text) > HELP_WIDTH)
                (void)fprintf(out, "\n%*s(default %s)", HELP_COLUMN, "", default_text);
            else if (default_text)
                (void)fprintf(out, " (default %s)", default_text);
            (void)fputc('\n', out);
            return;
        }
        line += length + 1;
        (void)fprintf(out, "\n%*s", HELP_COLUMN, "");
    }
}

static void print_option(const struct option_spec *spec, FILE *out)
{
    char left[80];

    (void)snprintf(left, sizeof(left), "  %c%c --%s%s%s", spec->letter ? '-' : ' ',
                   spec->letter ? spec->letter : ' ', spec->name, spec->value ? " " : "",
                   spec->value ? spec->value : "");
    if (strlen(left) < HELP_COLUMN)
        (void)fprintf(out, "%-*s", HELP_COLUMN, left);
    else
        (void)fprintf(out, "%s\n%*s", left, HELP_COLUMN, "");
    print_help_text(spec->help, spec->default_text, out);
}

void options_print_help(const struct option_table *table, FILE *out)
{
    const struct option_spec help = {.name = "help", .letter = 'h', .help = "print this and exit"};

    for (size_t i = 0; i < table->count; i++)
        print_option(&table->specs[i], out);
    print_option(&help, out);
}
