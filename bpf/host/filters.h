/* SPDX-License-Identifier: Apache-2.0 */
/* Which destinations are captured, written to the maps that the programs ask (record.h: `ports`,
 * `prefixes`, `config`). */
#ifndef FILTERS_H
#define FILTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "capture_maps.h"
#include "diag.h"

/* Borrowed. */
struct filters {
    bool any_port;
    const uint16_t *ports;
    size_t port_count;
    const struct prefix *prefixes; /* destinations; none: all */
    size_t prefix_count;
};

/* At least one port, and no more prefixes than the map has room for.  Returns 0, or -EINVAL or
 * -E2BIG with a message. */
int filters_check(const struct filters *filters, struct diag *diag);

/* Replace what was there while programs run: a destination that is captured before and after is
 * captured all the time.  The maps are read, and written by their keeper (keeper.h).  `config` is
 * written as it is, but for use_prefixes.  Returns 0, or a negative errno with a message; then what
 * is captured lies between the old and the new. */
int filters_write(const struct filters *filters, const struct capture_config *config,
                  const struct capture_maps *maps, int keeper, struct diag *diag);

#endif
