/* SPDX-License-Identifier: Apache-2.0 */
/* Which folders in a pin folder are an agent's: others may have theirs beside them, by whatever
 * names, and these are neither read nor removed. */
#ifndef SET_OWNER_H
#define SET_OWNER_H

#include <stdbool.h>
#include <stddef.h>

#include "pins.h"

/* Is the folder `set` one that an agent of any version made?  It has the name of a set, or
 * PINS_UNFINISHED; is root's, and writable by nobody else; and its pin PINS_META is a map that
 * begins with META_MAGIC.  An empty one, of the mode that agents give, is what one that was killed
 * left. */
bool set_is_ours(const struct pins *pins, const char *set);

/* Names in the pin folder that are none of ours, the first of them as "a, b, ..." in `buffer`, ""
 * for none; only those that look like sets, if `sets`.  Returns how many there are, or a negative
 * errno. */
int pins_list_foreign(const struct pins *pins, bool sets, char *buffer, size_t size);

#endif
