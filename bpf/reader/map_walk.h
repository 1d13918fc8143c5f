/* SPDX-License-Identifier: Apache-2.0 */
/* All connections of one client, for `lookup`: not for the way of a Check. */
#ifndef MAP_WALK_H
#define MAP_WALK_H

#include "capture_maps.h"
#include "flow.h"

/* Called for each; a negative result ends the walk. */
typedef int (*map_walk_fn)(const struct flow *flow, void *context);

/* Visits the tuples of `live` (or, without tracking, of `captured`) that have this source.  What
 * comes or goes meanwhile may be visited or not; nothing is visited twice but what came again.
 * Returns 0, the visitor's negative result, or a negative errno. */
int map_walk_source(const struct capture_maps *maps, const struct endpoint *source,
                    map_walk_fn visit, void *context);

#endif
