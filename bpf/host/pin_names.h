/* SPDX-License-Identifier: Apache-2.0 */
/* What things are called in the pin folder, for the agent that makes them and for those who read:
 *
 *     <pin-dir>/v<layout>/        a set of maps and the links that fill it
 *     <pin-dir>/v<layout>-<n>/    the same, once sizes were changed; n from 1
 *         live, alias, ...        maps, by CAPTURE_MAP_NAMES
 *         link_track_...          links of the programs that follow sockets
 *         link_...                links of the others
 *     <pin-dir>/lock-watch        folder, open to root only: who watches holds a lock on it */
#ifndef PIN_NAMES_H
#define PIN_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#define PIN_LINK_PREFIX  "link_"
#define PIN_TRACK_PREFIX PIN_LINK_PREFIX "track_"
#define PIN_LOCK_WATCH   "lock-watch"

struct set_name {
    uint32_t layout;
    uint32_t n; /* 0: without a number */
};

enum { SET_NAME_MAX = 32 };

/* Later than every name. */
#define SET_NAME_NEWEST ((struct set_name){UINT32_MAX, UINT32_MAX})

/* False for anything else than the one spelling of a name (no leading zeros, nothing behind it), so
 * for the folders of sets that are still being made. */
bool set_name_parse(const char *text, struct set_name *ret_name);
void set_name_format(const struct set_name *name, char buffer[SET_NAME_MAX]);

/* Below, equal to or above 0 when `a` is older than, the same as or newer than `b`. */
int set_name_compare(const struct set_name *a, const struct set_name *b);

bool pin_name_is_tracker(const char *name);

#endif
