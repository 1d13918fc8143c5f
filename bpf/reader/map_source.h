/* SPDX-License-Identifier: Apache-2.0 */
/* syn_source over the kernel's maps: read-only, no privilege needed.
 *
 * Where sockets are followed (meta.tracked) it looks up `live` by the full tuple, then `alias` by
 * the same tuple (REDIRECT or DNAT behind the hook), then `live` with each redirect port as
 * destination port (REDIRECT where the hook is behind it).  Exact keys only.
 *
 * Where they are not it looks up `captured`, by the tuple and by the redirect ports alike, and
 * answers `captured` for as long as capture_config.captured_ms says.  One set of maps is the one or
 * the other, never both.
 *
 * Torn reads are detected (record.h) and retried three times, then are `unavailable`.  Whether the
 * entries are kept true is not asked here: they are where the programs are our own, and
 * pin_source.h asks where they are an agent's. */
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

/* Returns 0; -EPROTO for maps of another layout; or another negative errno, with a message. */
int map_source_new(const struct map_source_config *config, struct syn_source **ret_source,
                   struct diag *diag);

#endif
