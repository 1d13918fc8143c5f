/* SPDX-License-Identifier: Apache-2.0 */
/* What a configuration that was read again says otherwise. */
#ifndef OPTIONS_CHANGED_H
#define OPTIONS_CHANGED_H

#include "options.h"

/* Does the option have another value in `a` than in `b`? */
bool option_differs(const struct option_spec *spec, const void *a, const void *b);

/* Names the options of `table` whose values in `a` and `b` (structs of the table) differ, as
 * "--listen, --user", in `buffer`, which it returns: empty when none does, cut where they do not
 * fit.  Those of the command line alone are not looked at. */
const char *options_changed(const struct option_table *table, const void *a, const void *b,
                            char *buffer, size_t size);

/* The same of those that take a restart. */
const char *options_frozen(const struct option_table *table, const void *a, const void *b,
                           char *buffer, size_t size);

#endif
