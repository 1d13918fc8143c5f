/* SPDX-License-Identifier: Apache-2.0 */
/* The BPF objects of this binary: opened, given one set of maps, loaded.  Nothing is attached. */
#ifndef OBJECTS_H
#define OBJECTS_H

#include <stdint.h>

#include "capture_maps.h"
#include "diag.h"

struct capture_xdp;
struct capture_track;

/* The kernel does not run a tracking program inside itself: when an interrupt brings a second event
 * while the program handles a first, that run is left out.  Of two copies, run one after the other,
 * only one can be interrupted at a time; and handling an event twice is the same as once (record.h,
 * struct claim). */
enum { TRACKERS = 2 };

/* Of each copy: state changes, and ends, of sockets. */
enum { TRACKER_PROGRAMS = 2 };

struct objects {
    struct capture_xdp *xdp;
    struct capture_track *track[TRACKERS];
};

/* Sizes of 0 leave the defaults.  Returns 0, or a negative errno with a message. */
int objects_load(struct objects *objects, uint32_t max_pending, uint32_t max_live,
                 struct diag *diag);

/* Descriptors, borrowed until objects_done(). */
void objects_maps(const struct objects *objects, struct capture_maps *ret_maps);
int objects_xdp_program(const struct objects *objects);
int objects_track_program(const struct objects *objects, unsigned copy, unsigned program);

/* Closes all programs and maps; what is attached stays attached. */
void objects_done(struct objects *objects);

#endif
