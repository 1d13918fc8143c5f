/* SPDX-License-Identifier: Apache-2.0 */
/* The capture's counters and the sizes of its maps, as metrics (docs/node.md lists them). */
#ifndef CAPTURE_METRICS_H
#define CAPTURE_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "capture_maps.h"
#include "metric.h"

enum { FAMILY_IPV4 = 0, FAMILY_IPV6, FAMILY_COUNT_ };

/* What was read from the maps.  What could not be read is left out of the page: it is not 0. */
struct capture_numbers {
    bool is_read[SYN_HOOK_COUNT_][FAMILY_COUNT_];
    uint64_t counters[SYN_HOOK_COUNT_][FAMILY_COUNT_][COUNTER_COUNT_];
    uint32_t sizes[MAP_COUNT_]; /* in entries; 0: not known */
    bool tracked;               /* SYNs go to `pending`, else to `captured` */
};

/* Returns how many reads have failed. */
unsigned capture_numbers_read(const struct capture_maps *maps, bool tracked,
                              struct capture_numbers *ret_numbers);

void capture_metrics_write(const struct capture_numbers *numbers, struct metric_page *page);

#endif
