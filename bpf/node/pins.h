/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent keeps in its pin folder (interfaces.md: `<pin-dir>/v<layout>/`), by names.
 *
 *     lock/           0700: its owner is who may change anything; flock(2) tells
 *     v2/             0750 root:group, a set of maps
 *         live ...    0640 root:group: maps for readers, by the names of maps.h
 *         pending ... 0600 root: other maps
 *         link_*      0600 root: hooks and trackers; whoever can open one could detach it
 *         prog_*      0600 root: the programs that run, so that the next agent knows them again
 *     unfinished/     a set that is being made; removed by whoever finds it
 *
 * A pin keeps its object alive without any process. */
#ifndef PINS_H
#define PINS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "bpffs.h"
#include "diag.h"

#define PINS_LOCK       "lock"
#define PINS_UNFINISHED "unfinished"

/* The pin that a set is known by to be an agent's (set_owner.h): the first to come, the last to go.
 */
#define PINS_META "meta"

/* The name of a pin that is being made begins so. */
#define PINS_FRESH "new_"

enum { PINS_MODE_SET = 0750 };

/* All that is done is done by `dir`, whatever becomes of the path that led there. */
struct pins {
    char folder[BPFFS_PATH_MAX]; /* how messages call it; "": closed, and nothing else counts */
    gid_t group;
    int dir;
    int lock; /* -1: not held */
};

enum pin_kind { PIN_MAP = 0, PIN_PRIVATE_MAP, PIN_LINK, PIN_PROGRAM };

/* Make or check the folder (bpffs.h) and lock it; the log says what in it looks like a set and is
 * somebody else's.  -EBUSY: another agent holds it; the message does not know which. */
int pins_open(const char *folder, gid_t group, struct pins *ret_pins, struct diag *diag);

/* Only lock a folder that is there: -ENOENT when there is none on a bpffs. */
int pins_lock(const char *folder, struct pins *ret_pins, struct diag *diag);

/* Only look into a folder that is there, whoever has locked it. */
int pins_look(const char *folder, struct pins *ret_pins, struct diag *diag);

/* Take the lock away, too, after everything else; the pins are closed. */
int pins_unlock(struct pins *pins);

/* Does the path still lead to the folder that we locked? */
bool pins_are_ours(const struct pins *pins);

/* What is pinned stays. */
void pins_close(struct pins *pins);

/* All below return 0 or a negative errno.  `set` is the name of a folder in the pin folder. */

/* One that is there already, and root's, gets the right mode and group. */
int pins_make_set(const struct pins *pins, const char *set);
int pins_rename_set(const struct pins *pins, const char *from, const char *to);

/* Unpins everything in it, and removes it, if it is an agent's (set_owner.h); nothing there is a
 * success.  Adds to `removed`.  -ENOTEMPTY: nothing of ours is left, but a folder that somebody
 * made in it.  -EPERM: it is no agent's, and left alone. */
int pins_remove_set(const struct pins *pins, const char *set, unsigned *removed);

/* Removes a folder that is empty; another, and none, are no failure. */
int pins_remove_empty(const struct pins *pins, const char *name);

/* Replaces what has the name already, by one step. */
int pins_put(const struct pins *pins, const char *set, const char *name, int fd,
             enum pin_kind kind);
bool pins_has(const struct pins *pins, const char *set, const char *name);
int pins_remove(const struct pins *pins, const char *set, const char *name);

/* A descriptor for reading and writing, of a pin that only root can have made: else -EPERM. */
int pins_get(const struct pins *pins, const char *set, const char *name);

/* Names in a set or, if `set` is NULL, in the pin folder, however many there are.  Calls `visit`
 * for each, which may remove it; stops at the first negative result and returns it. */
int pins_each(const struct pins *pins, const char *set,
              int (*visit)(const char *name, void *context), void *context);

#endif
