/* SPDX-License-Identifier: Apache-2.0 */
/* What every verb with an admin page says of itself: what was built, of what, and what the process
 * uses, by the names that all Prometheus clients give it (process_*). */
#ifndef PROGRAM_METRICS_H
#define PROGRAM_METRICS_H

#include <stdio.h>

#include "metric.h"

/* What /proc does not say is left out. */
void program_metrics_write(struct metric_page *page);

/* {"version":...,"commit":...,"verb":...,"pid":N} */
void program_print_json(const char *verb, FILE *out);

#endif
