/* SPDX-License-Identifier: Apache-2.0 */
/* syn_source over the kernel's maps: read-only, no privilege needed.
 *
 * Looks up `live` by the full tuple, then `alias` by the same tuple (REDIRECT or DNAT behind the
 * hook), then `live` with each redirect port as destination port (REDIRECT where the hook is behind
 * it).  Exact keys only.  Torn reads are detected (record.h) and retried three times, then are
 * `unavailable`. */
#ifndef MAP_SOURCE_H
#define MAP_SOURCE_H

#include "capture_maps.h"
#include "diag.h"
#include "syn_source.h"

struct map_source_config {
    const struct capture_maps *maps; /* copied; the descriptors must outlive the source */
    const uint16_t *redirect_ports;  /* copied */
    size_t redirect_port_count;
};

int map_source_new(const struct map_source_config *config, struct syn_source **ret_source,
                   struct diag *diag);

#endif
