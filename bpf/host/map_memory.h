/* SPDX-License-Identifier: Apache-2.0 */
/* What the maps cost, and what there is. */
#ifndef MAP_MEMORY_H
#define MAP_MEMORY_H

#include <stdint.h>

#include "capture_maps.h"

/* Bytes that the kernel keeps for the maps, by its own account. */
uint64_t map_memory_used(const struct capture_maps *maps);

/* The memory limit of this process's control group or the nearest one above that has one, in bytes
 * (cgroup2 or the memory controller of version 1); 0: none is known. */
uint64_t map_memory_limit(void);

#endif
