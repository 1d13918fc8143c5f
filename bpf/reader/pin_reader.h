/* SPDX-License-Identifier: Apache-2.0 */
/* The capture's maps by their pins, for whoever reads: no capability is needed, nothing can be
 * written through the descriptors.
 *
 * A pin folder holds a folder for each set of maps: `v<layout>`, and `v<layout>-<n>` once sizes
 * were changed.  In use is the one of the highest layout, then of the highest n, that has our
 * READER_LAYOUT and describes itself as running; other names (of sets that are being made) are no
 * sets.  Nothing is believed that anybody but root could have made: the pin folder, the set's
 * folder and each pin belong to root and are writable by nobody else, and nobody else could put
 * another folder in place of the pin folder (trusted_path.h).
 *
 * No descriptor into the bpffs is kept: it can be unmounted while its maps are read. */
#ifndef PIN_READER_H
#define PIN_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "capture_maps.h"
#include "diag.h"

#define PIN_DIR_DEFAULT "/run/synauthz/bpf"

/* The newest set in `pin_dir` that is complete, in use and has our READER_LAYOUT.  Returns 0 with
 * all maps that readers may read open (pending, last_isn, limiter, watch and events stay -1); or a
 * negative errno with a message:
 *   -ENOENT  nothing is pinned there: no agent has run
 *   -EACCES  this user may not read it; the message names the group that may
 *   -EPERM   bpf() is refused (before Linux 5.19 it takes CAP_BPF; a container's seccomp profile
 * may do it, too), or the folder is not root's: a folder or pin that anybody else could have made
 * is not believed -EPROTO  only sets of other layouts -ESTALE  capture has ended there */
int pin_reader_open(const char *pin_dir, struct capture_maps *ret_maps, struct diag *diag);

/* The same set for its watcher: `watch` and `events` to be written (root, or whoever owns the
 * pins), `meta` to be read.  All others stay -1. */
int pin_reader_open_watch(const char *pin_dir, struct capture_maps *ret_maps, struct diag *diag);

/* What there is to be seen, without opening more than has to be. */
struct pin_sight {
    unsigned id;            /* the kernel's number of the map `meta`: another one is another set */
    bool tracker_is_pinned; /* so sockets are followed, whether an agent runs or not */
    uint64_t begun_ms;      /* when the look began, by pin_clock_ms() */
};
/* Returns 0 or a negative errno as above, with a message unless `diag` is NULL. */
int pin_reader_look(const char *pin_dir, struct pin_sight *ret_sight, struct diag *diag);

/* A clock that costs next to nothing; not stopped by anything but sleep, when nothing else happens
 * either. */
uint64_t pin_clock_ms(void);

/* The kernel's number of an open map; 0 for none. */
unsigned pin_reader_map_id(int map_fd);

#endif
