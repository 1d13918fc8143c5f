/* SPDX-License-Identifier: Apache-2.0 */
/* Take entries along when the maps get another size.
 *
 * Both sets' trackers run meanwhile, the old one's first, so the old maps stay right, and the new
 * ones get what happens from now on.  What is copied is looked at again behind the copy: had it
 * changed or gone, the copy does, too; had it not, its end will be seen by the new tracker. */
#ifndef CARRY_H
#define CARRY_H

#include <stddef.h>
#include <stdint.h>

#include "capture_maps.h"

struct carried {
    size_t entries; /* of `live` */
    size_t lost;    /* had no room in the new maps */
};

/* Those of `live` and `alias`.  The maps of both sets have the layouts of record.h.  May be done
 * twice.  Returns 0 or a negative errno. */
int carry_entries(const struct capture_maps *from, const struct capture_maps *to,
                  struct carried *ret_carried);

/* Copy the pending SYNs that are no older than `since_ns` (CLOCK_BOOTTIME) and not in `to` already.
 * Returns 0 or a negative errno. */
int carry_pending(int from, int to, uint64_t since_ns);

#endif
