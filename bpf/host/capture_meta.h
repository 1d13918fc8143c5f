/* SPDX-License-Identifier: Apache-2.0 */
/* The value of the map `meta` (record.h): what a set of maps is, and who looks after it. */
#ifndef CAPTURE_META_H
#define CAPTURE_META_H

#include <stdbool.h>
#include <stdint.h>

#include "record.h"

struct capture_maps;

/* The boot that the kernel runs under.  Returns 0 or a negative errno. */
int boot_id_read(uint8_t ret_id[16]);

/* CLOCK_BOOTTIME, the clock of all times in the maps; it goes on while the machine sleeps. */
uint64_t boot_time_ns(void);

/* Describe maps that were just made: layouts, sizes, boot, network namespace, the present time.
 * The state is CAPTURE_STARTING, everything else is 0.  Returns 0 or a negative errno. */
int capture_meta_describe(const struct capture_maps *maps, struct capture_meta *ret_meta);

/* The one value of `meta` as it is now.  Returns 0 or a negative errno. */
int capture_meta_read(const struct capture_maps *maps, struct capture_meta *ret_meta);

/* Was the set made under this boot, and does it have our magic? */
bool capture_meta_is_of_this_boot(const struct capture_meta *meta);

/* Does the kernel run under the boot that the set was made in, and is its reader's layout ours?
 * A meta that says CAPTURE_ENDED or CAPTURE_STARTING is not usable either. */
int capture_meta_is_usable(const struct capture_meta *meta);

#endif
