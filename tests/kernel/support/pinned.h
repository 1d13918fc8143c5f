/* SPDX-License-Identifier: Apache-2.0 */
/* A pin folder as an agent leaves it, made by hand: maps without programs, whose entries the test
 * writes itself.  In a mount namespace of the test's own. */
#ifndef PINNED_H
#define PINNED_H

#include <stdbool.h>
#include <stdint.h>

#include "capture_maps.h"
#include "flow.h"

enum { PINNED_PATH_MAX = 256, PINNED_GROUP = 4242 };

/* A bpffs, 0750 for PINNED_GROUP.  Call it before there are threads. */
struct pin_folder {
    char path[PINNED_PATH_MAX];
};
void pin_folder_make(struct pin_folder *ret_folder);
void pin_folder_remove(struct pin_folder *folder);

/* The path of something in the folder; valid until the next call but three. */
const char *pin_folder_at(const struct pin_folder *folder, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A set of maps: writable, described as running and tracked, with a tracker's link (a pin of its
 * name), an agent that beat just now, and all ports captured. */
struct pinned_set {
    struct capture_maps maps;
    struct capture_meta *meta; /* mapped, which an agent's is not */
};
void pinned_set_make(struct pinned_set *ret_set);
void pinned_set_pin(const struct pinned_set *set, const struct pin_folder *folder,
                    const char *name);
void pinned_set_close(struct pinned_set *set); /* what is pinned stays */

/* Unpins all of it. */
void pinned_set_remove(const struct pin_folder *folder, const char *name);

void pinned_set_beat(const struct pinned_set *set);

/* The connection is there, with this ISN. */
void pinned_set_put(const struct pinned_set *set, const struct flow *flow, uint32_t isn);

#endif
