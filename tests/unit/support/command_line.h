/* SPDX-License-Identifier: Apache-2.0 */
/* A command line as a test writes it: words between blanks. */
#ifndef COMMAND_LINE_H
#define COMMAND_LINE_H

#include <stdlib.h>
#include <string.h>

#include "options.h"

struct command_line {
    char *text, *argv[32];
    int argc;
    struct text_list operands;
    struct options_given given;
};

/* As options_parse() into `options`; either way command_line_done() frees. */
static inline int command_line_parse(struct command_line *line, const char *text,
                                     const struct option_table *table, void *options,
                                     struct diag *diag)
{
    *line = (struct command_line){.text = strdup(text)};
    if (!line->text)
        abort();
    for (char *word = strtok(line->text, " "); word; word = strtok(NULL, " "))
        line->argv[line->argc++] = word;
    return options_parse(table, line->argc, line->argv, options, &line->operands, &line->given,
                         diag);
}

static inline void command_line_done(struct command_line *line, const struct option_table *table,
                                     void *options)
{
    options_done(table, options);
    free(line->operands.items);
    free(line->text);
}

#endif
