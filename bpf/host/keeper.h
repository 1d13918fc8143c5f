/* SPDX-License-Identifier: Apache-2.0 */
/* Orders to the keeper, the program that alone writes the maps which user space can only read
 * (record.h, struct keeper_order).
 *
 * `keeper` is the program's descriptor: objects_load_hook(OBJECT_KEEPER) with the maps that it
 * shall write, or the pin in their set.  Running it takes CAP_BPF.  All functions return 0 or a
 * negative errno. */
#ifndef KEEPER_H
#define KEEPER_H

#include <stdint.h>

#include "capture_maps.h"
#include "record.h"

/* No descriptor of the keeper's maps can write them any more; those that are frozen already stay
 * so.
 */
int keeper_freeze_maps(const struct capture_maps *maps);

/* All but full_ns. */
int keeper_write_meta(int keeper, const struct capture_meta *meta);

int keeper_write_config(int keeper, const struct capture_config *config);

/* Ports word * 64 and up, one bit each. */
int keeper_write_ports(int keeper, uint32_t word, uint64_t bits);

/* Adding twice is a success, removing what is not there is -ENOENT. */
int keeper_add_prefix(int keeper, const struct prefix_key *prefix);
int keeper_remove_prefix(int keeper, const struct prefix_key *prefix);

/* The set has ended: sets meta.state, by the keeper of a set of any layout. */
int keeper_end(int keeper);

#endif
