/* SPDX-License-Identifier: Apache-2.0 */
/* The set of the capture's maps (layouts: record.h) as descriptors, from whoever loaded or opened
 * them to whoever reads. */
#ifndef CAPTURE_MAPS_H
#define CAPTURE_MAPS_H

/* In the order of CAPTURE_MAP_NAMES. */
enum capture_map {
    MAP_PENDING = 0,
    MAP_PENDING_BEFORE, /* not pinned */
    MAP_LIVE,
    MAP_ALIAS,
    MAP_CAPTURED,
    MAP_PORTS,
    MAP_PREFIXES,
    MAP_CONFIG,
    MAP_META,
    MAP_COUNTERS,
    MAP_LAST_ISN,
    MAP_LIMITER,
    MAP_WATCH,
    MAP_EVENTS,
    MAP_COUNT_,
};

/* As in maps.h, and as the names of the pins. */
extern const char *const CAPTURE_MAP_NAMES[MAP_COUNT_];

/* -1: not open. */
struct capture_maps {
    int fd[MAP_COUNT_];
};

void capture_maps_init(struct capture_maps *maps);
void capture_maps_close(struct capture_maps *maps);

struct capture_meta;

/* The one value of `meta`, mapped for reading: it follows what the agent and the programs write.
 * Returns 0 or a negative errno; capture_meta_unmap() takes NULL. */
int capture_meta_map(const struct capture_maps *maps, const struct capture_meta **ret_meta);
void capture_meta_unmap(const struct capture_meta *meta);

/* Does the kernel run under the boot that the set was made in, and is its reader's layout ours?
 * A meta that says CAPTURE_ENDED or CAPTURE_STARTING is not usable either. */
int capture_meta_is_usable(const struct capture_meta *meta);

#endif
