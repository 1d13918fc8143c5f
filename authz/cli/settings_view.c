/* SPDX-License-Identifier: Apache-2.0 */
#include "settings_view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "json.h"
#include "num.h"
#include "options_changed.h"

enum { ORIGIN_MAX = 512, ORIGIN_COLUMN = 40 };

/* --- one setting ------------------------------------------------------------------------------ */

static bool is_said(const struct settings_view *view, size_t index)
{
    return options_is_given(view->given, index) ||
           (view->file && config_file_line(view->file, index) > 0);
}

/* A flag that nobody gives is false. */
static bool is_set(const struct settings_view *view, size_t index)
{
    const struct option_spec *spec = &view->table->specs[index];

    return spec->kind == OPTION_FLAG || spec->default_text || is_said(view, index);
}

const char *settings_origin(const struct settings_view *view, size_t index, char *buffer,
                            size_t size)
{
    if (options_is_given(view->given, index))
        (void)snprintf(buffer, size, "command line");
    else if (is_said(view, index))
        (void)snprintf(buffer, size, "%s:%u", config_file_name(view->file),
                       config_file_line(view->file, index));
    else
        (void)snprintf(buffer, size, "%s", is_set(view, index) ? "default" : "not set");
    return buffer;
}

static const void *value_of(const struct settings_view *view, const struct option_spec *spec)
{
    return (const char *)view->values + spec->offset;
}

static const struct text_list *list_of(const struct settings_view *view,
                                       const struct option_spec *spec)
{
    return value_of(view, spec);
}

/* With the quotes that both YAML and JSON need; plain words of YAML are text for JSON. */
static void print_word(const char *word, bool quoted, FILE *out)
{
    if (quoted)
        json_print_string(out, str_from(word));
    else
        (void)fputs(word, out);
}

/* Of any kind but LIST. */
static void print_scalar(const struct settings_view *view, const struct option_spec *spec,
                         bool is_json, FILE *out)
{
    const void *value = value_of(view, spec);
    char text[NUM_TEXT_MAX];

    switch (spec->kind) {
    case OPTION_FLAG:
        (void)fputs(*(const bool *)value ? "true" : "false", out);
        return;
    case OPTION_TEXT:
        json_print_string(out, str_from(*(const char *const *)value));
        return;
    case OPTION_NUMBER:
        (void)fprintf(out, "%" PRIu64, *(const uint64_t *)value);
        return;
    case OPTION_DURATION:
        print_word(num_format_duration_ms(*(const uint64_t *)value, text), is_json, out);
        return;
    case OPTION_SIZE:
        print_word(num_format_size(*(const uint64_t *)value, text), is_json, out);
        return;
    case OPTION_CHOICE:
        print_word(spec->choices[*(const unsigned *)value], is_json, out);
        return;
    case OPTION_LIST:
        return;
    }
}

/* --- YAML ------------------------------------------------------------------------------------- */

/* What is before the comment, in the buffer `line`, and the comment in its column. */
static void print_commented(const char *line, const char *origin, FILE *out)
{
    (void)fprintf(out, "  %-*s # ", ORIGIN_COLUMN, line);
    json_print_text(out, str_from(origin)); /* a file's name may hold a newline */
    (void)fputc('\n', out);
}

static void print_items(const struct text_list *list, FILE *out)
{
    for (size_t i = 0; i < list->count; i++) {
        (void)fputs("    - ", out);
        json_print_string(out, str_from(list->items[i]));
        (void)fputc('\n', out);
    }
}

/* "name: value", without the items of a list. */
static void print_head(const struct settings_view *view, size_t index, FILE *out)
{
    const struct option_spec *spec = &view->table->specs[index];

    if (!is_set(view, index)) {
        (void)fprintf(out, "# %s: %s", spec->name, spec->value);
        return;
    }
    (void)fprintf(out, "%s: ", spec->name);
    if (spec->kind != OPTION_LIST)
        print_scalar(view, spec, false, out);
    else if (list_of(view, spec)->count == 0)
        (void)fputs("[]", out);
}

/* Returns 0 or -ENOMEM. */
static int print_setting(const struct settings_view *view, size_t index, FILE *out)
{
    CLEANUP(freep) char *head = NULL;
    const struct option_spec *spec = &view->table->specs[index];
    char origin[ORIGIN_MAX];
    size_t size = 0;
    FILE *text = open_memstream(&head, &size);

    if (!text)
        return -ENOMEM;
    print_head(view, index, text);
    if (fclose(text) != 0)
        return -ENOMEM;
    print_commented(head, settings_origin(view, index, origin, sizeof(origin)), out);
    if (spec->kind == OPTION_LIST && is_set(view, index))
        print_items(list_of(view, spec), out);
    return 0;
}

static int print_all(const struct settings_view *view, FILE *out)
{
    int r = 0;

    (void)fprintf(out, "version: 1\n%s:\n", view->verb);
    for (size_t i = 0; i < view->table->count && r == 0; i++)
        if (!view->table->specs[i].command_line_only)
            r = print_setting(view, i, out);
    return r;
}

/* Read back, does the text say the same?  Not all that may stand on a command line can stand in
 * YAML: bytes that are no UTF-8, and characters that YAML has no room for. */
static int prove(const struct settings_view *view, const char *text, struct diag *diag)
{
    CLEANUP(config_file_freep) struct config_file *file = NULL;
    CLEANUP(freep) void *values = calloc(1, view->values_size);
    const struct options_given none = {0};
    struct diag wrong = {0};
    char names[DIAG_TEXT_MAX / 2];
    int r;

    if (!values)
        return -ENOMEM;
    r = config_file_parse(str_from(text), "", view->verb, &none, values, &file, &wrong);
    if (r == -ENOMEM)
        return r;
    if (r < 0)
        return diag_set(diag, -EILSEQ, "the settings cannot be written in YAML: %s", wrong.text);
    if (*options_changed(view->table, view->values, values, names, sizeof(names)))
        return diag_set(diag, -EILSEQ, "%s: the value cannot be written in YAML, which is UTF-8",
                        names);
    return 0;
}

int settings_print_yaml(const struct settings_view *view, FILE *out, struct diag *diag)
{
    CLEANUP(freep) char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    int r;

    if (!memory)
        return -ENOMEM;
    r = print_all(view, memory);
    if (fclose(memory) != 0 || r < 0)
        return -ENOMEM;
    r = prove(view, text, diag);
    if (r < 0)
        return r;
    (void)fputs(text, out);
    return 0;
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void print_json_list(const struct text_list *list, FILE *out)
{
    (void)fputc('[', out);
    for (size_t i = 0; i < list->count; i++) {
        (void)fputs(i > 0 ? "," : "", out);
        json_print_string(out, str_from(list->items[i]));
    }
    (void)fputc(']', out);
}

static void print_json_value(const struct settings_view *view, size_t index, FILE *out)
{
    const struct option_spec *spec = &view->table->specs[index];

    if (!is_set(view, index))
        (void)fputs("null", out);
    else if (spec->kind == OPTION_LIST)
        print_json_list(list_of(view, spec), out);
    else
        print_scalar(view, spec, true, out);
}

static void print_json_setting(const struct settings_view *running,
                               const struct settings_view *wanted, size_t index, FILE *out)
{
    const struct option_spec *spec = &running->table->specs[index];
    const struct settings_view *in_use = spec->live ? wanted : running;
    char origin[ORIGIN_MAX];

    (void)fprintf(out, "\"%s\":{\"value\":", spec->name);
    print_json_value(in_use, index, out);
    (void)fputs(",\"from\":", out);
    json_print_string(out, str_from(settings_origin(in_use, index, origin, sizeof(origin))));
    if (!spec->live && option_differs(spec, running->values, wanted->values)) {
        (void)fputs(",\"after_restart\":", out);
        print_json_value(wanted, index, out);
    }
    (void)fputc('}', out);
}

void settings_print_json(const struct settings_view *running, const struct settings_view *wanted,
                         FILE *out)
{
    const char *before = "";

    (void)fputc('{', out);
    for (size_t i = 0; i < running->table->count; i++) {
        if (running->table->specs[i].command_line_only)
            continue;
        (void)fputs(before, out);
        print_json_setting(running, wanted, i, out);
        before = ",";
    }
    (void)fputc('}', out);
}
