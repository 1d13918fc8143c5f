/* SPDX-License-Identifier: Apache-2.0 */
/* The sets of maps that are in a pin folder, of this version and of others, and what of them can be
 * used again. */
#ifndef MAP_SET_H
#define MAP_SET_H

#include <stdbool.h>
#include <stddef.h>

#include "capture_maps.h"
#include "objects.h"
#include "pins.h"
#include "set_name.h"

struct map_set {
    struct set_name name;
    struct capture_maps maps; /* those of our names that are there */
    struct capture_meta meta; /* as it was when it was opened; all 0 when it cannot be read */
    bool has_trackers;        /* all of them are pinned, so they run */
};

struct map_sets {
    struct map_set *items; /* the one that was used last comes first */
    size_t count;
    struct set_name *taken; /* names of sets that no agent made */
    size_t taken_count;
};

/* Sets that no agent made are left alone.  Returns 0 or a negative errno. */
int map_sets_open(const struct pins *pins, struct map_sets *ret_sets);
void map_sets_done(struct map_sets *sets);

/* Name of the pin of a tracker's link. */
enum { TRACKER_PIN_MAX = 32 };
void tracker_pin_name(unsigned copy, unsigned program, char ret_name[TRACKER_PIN_MAX]);

/* Can programs of ours run on it as it is, and is what it knows true? */
bool map_set_fits(const struct map_set *set, const struct map_shape shapes[MAP_COUNT_],
                  bool tracked);

/* Is what it knows about connections true: made under this boot, in use, all closes seen? */
bool map_set_is_true(const struct map_set *set);

/* Has the map the shape, but for its size if `any_size`? */
bool map_has_shape(const struct map_set *set, enum capture_map map, const struct map_shape *shape,
                   bool any_size);

/* A name that no set has yet: of our layout, later than those that are there. */
struct set_name map_sets_next_name(const struct map_sets *sets);

#endif
