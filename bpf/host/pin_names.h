/* SPDX-License-Identifier: Apache-2.0 */
/* What things in the pin folder are called, beyond sets (set_name.h) and maps (CAPTURE_MAP_NAMES):
 * for the agent that makes them and for those who read. */
#ifndef PIN_NAMES_H
#define PIN_NAMES_H

/* In a set: links of the programs that follow sockets begin like this, links of all others with
 * "link_" only.  As long as one is pinned, entries of closed connections are taken away. */
#define PIN_TRACK_PREFIX "link_track"

/* In the pin folder: a folder that is open to root only; who watches holds a lock on it. */
#define PIN_LOCK_WATCH "lock-watch"

#endif
