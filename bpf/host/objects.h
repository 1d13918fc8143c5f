/* SPDX-License-Identifier: Apache-2.0 */
/* The BPF objects of this binary: their maps are made once, each program is loaded with the same
 * ones.  Nothing is attached.  All descriptors are the caller's. */
#ifndef OBJECTS_H
#define OBJECTS_H

#include <stddef.h>
#include <stdint.h>

#include "capture_maps.h"
#include "diag.h"

/* What is inside this binary. */
enum object {
    OBJECT_XDP = 0,
    OBJECT_TCX, /* also for clsact */
    OBJECT_CGROUP,
    OBJECT_TRACK,
    OBJECT_KEEPER, /* keeper.h: attached to nothing */
    OBJECT_COUNT_,
};

/* The kernel does not run a tracking program inside itself: when an interrupt brings a second event
 * while the program handles a first, that run is left out.  Of two copies, run one after the other,
 * only one can be interrupted at a time; and handling an event twice is the same as once (record.h,
 * struct claim). */
enum { TRACKERS = 2 };

/* Of each copy: state changes, and ends, of sockets. */
enum { TRACKER_PROGRAMS = 2 };

/* Entries; 0 leaves what maps.h says. */
struct map_sizes {
    uint32_t pending, live, captured;
};

/* What makes a map fit for a program. */
struct map_shape {
    uint32_t type, key_size, value_size, entries, flags;
};

/* The shapes of the maps that objects_make_maps() would make.  Returns 0, or a negative errno with
 * a message. */
int objects_map_shapes(const struct map_sizes *sizes, struct map_shape ret_shapes[MAP_COUNT_],
                       struct diag *diag);

/* That of a map which is there.  Returns 0 or a negative errno. */
int map_shape_of(int fd, struct map_shape *ret_shape);

/* Make each map that is not open yet, but for `pending_before`, which is never made.  On failure
 * those that were made stay open.  Returns 0, or a negative errno with a message. */
int objects_make_maps(const struct map_sizes *sizes, struct capture_maps *maps, struct diag *diag);

/* Load the one program of an object, any but OBJECT_TRACK, with these maps.  Returns a
 * descriptor, or a negative errno with a message. */
int objects_load_hook(enum object object, const struct capture_maps *maps, struct diag *diag);

/* Load one copy of the tracker (0 .. TRACKERS - 1): all of it or, with a message, nothing. */
int objects_load_tracker(unsigned copy, const struct capture_maps *maps,
                         int ret_programs[TRACKER_PROGRAMS], struct diag *diag);

/* For `synauthz version`.  Static. */
struct embedded_object {
    const char *name; /* "xdp", "track" */
    const void *bytes;
    size_t size;
};
void objects_embedded(struct embedded_object ret_objects[OBJECT_COUNT_]);

#endif
