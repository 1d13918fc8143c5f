/* SPDX-License-Identifier: Apache-2.0 */
/* The settings in effect, and where each came from: what --print-config and /config show.
 *
 * What is shown of a setting is its value, never what is in a file that it names: keys, passwords
 * and the like are given as files alone, so there is nothing to hide here. */
#ifndef SETTINGS_VIEW_H
#define SETTINGS_VIEW_H

#include <stdio.h>

#include "config_file.h"
#include "diag.h"
#include "options.h"

/* Defaults, configuration file and command line together.  All borrowed. */
struct settings_view {
    const char *verb; /* the section of the file */
    const struct option_table *table;
    const void *values; /* the verb's struct of options */
    size_t values_size;
    const struct options_given *given;
    const struct config_file *file; /* NULL without --config */
};

/* Where the value of an option came from: "default", "command line", "FILE:LINE", or "not set",
 * when it has none.  In `buffer`, which it returns; cut where that is too small. */
const char *settings_origin(const struct settings_view *view, size_t index, char *buffer,
                            size_t size);

/* A configuration file that says the same, with the origins as comments; options without a value
 * are comments alone.  Returns 0, or a negative errno with a message: -ENOMEM; -EILSEQ for a value
 * that cannot be written in YAML. */
int settings_print_yaml(const struct settings_view *view, FILE *out, struct diag *diag);

/* {"NAME":{"value":VALUE,"from":"ORIGIN"},...}, in the order of the table, without what is for the
 * command line only.  Numbers are numbers, durations and sizes are texts as they would be written,
 * and what is not set is null.
 *
 * `running` is what the program has started with, `wanted` what was read since (or the same): of
 * options that a SIGHUP changes the wanted value is shown, of others the running one and, where it
 * differs, ,"after_restart":VALUE. */
void settings_print_json(const struct settings_view *running, const struct settings_view *wanted,
                         FILE *out);

#endif
