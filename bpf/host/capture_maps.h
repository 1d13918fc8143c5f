/* SPDX-License-Identifier: Apache-2.0 */
/* The set of the capture's maps (layouts: record.h) as descriptors, from whoever loaded or opened
 * them to whoever reads. */
#ifndef CAPTURE_MAPS_H
#define CAPTURE_MAPS_H

#include <stdint.h>

#include "capture_meta.h"
#include "record.h"

/* In the order of CAPTURE_MAP_NAMES. */
enum capture_map {
    MAP_PENDING = 0,
    MAP_PENDING_BEFORE, /* -1 where nothing was replaced; then it is `pending` itself */
    MAP_LIVE,
    MAP_ALIAS,
    MAP_CROWD,
    MAP_CAPTURED,
    MAP_PORTS,
    MAP_PREFIXES,
    MAP_CONFIG,
    MAP_META,
    MAP_COUNTERS,
    MAP_LAST_ISN,
    MAP_LIMITER,
    MAP_TURNOVER,
    MAP_SECRET,
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

/* From now on no descriptor of the map can write it, however it is got: whoever may read a pin
 * could pin the map again elsewhere, as a file of their own, and open that for writing.  Programs
 * still can.  One that is frozen already is a success.  Returns 0 or a negative errno. */
int capture_map_freeze(const struct capture_maps *maps, enum capture_map map);

/* Fill `secret` with random bytes and freeze it, if that has not been done.  Returns 0 or a
 * negative errno. */
int capture_secret_draw(const struct capture_maps *maps);

/* How many entries a map has room for; 0 when it is not open. */
uint32_t capture_map_size(const struct capture_maps *maps, enum capture_map map);

/* Counters of one hook (SYN_HOOK_NONE: of the tracker) and IP version, summed over all CPUs.
 * Returns 0 or a negative errno. */
int capture_counters_read(const struct capture_maps *maps, enum syn_hook hook, uint8_t ip_version,
                          uint64_t ret_counters[COUNTER_COUNT_]);

#endif
