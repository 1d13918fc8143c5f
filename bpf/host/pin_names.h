/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent and those who read its pins agree on, beyond layouts (record.h): what things in
 * the pin folder are called, beside sets (set_name.h) and maps (CAPTURE_MAP_NAMES), and how a set
 * ends. */
#ifndef PIN_NAMES_H
#define PIN_NAMES_H

/* In a set: links of the programs that follow sockets begin like this, links of all others with
 * "link_" only.  As long as one is pinned, entries of closed connections are taken away. */
#define PIN_TRACK_PREFIX "link_track"

/* In a set of any layout: the program that writes its meta (record.h, struct keeper_order). */
#define PIN_KEEPER "prog_keeper"

/* In the pin folder: a folder that is open to root only; who watches holds a lock on it. */
#define PIN_LOCK_WATCH "lock-watch"

/* Whoever ends a set says so in its meta (CAPTURE_ENDED), and then waits for so long before
 * anything is taken away.  A reader believes for a shorter time what it saw in meta, so that its
 * look-ups need not ask each time. */
enum { PIN_BELIEVED_MS = 1000, PIN_NOTICE_MS = 1500 };

#endif
