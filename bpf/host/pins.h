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

#define PINS_UNFINISHED "unfinished"

enum { PINS_PATH_MAX = BPFFS_PATH_MAX + 128 };

struct pins {
    char folder[BPFFS_PATH_MAX];
    gid_t group;
    int lock; /* -1: not held */
};

enum pin_kind { PIN_MAP = 0, PIN_PRIVATE_MAP, PIN_LINK, PIN_PROGRAM };

/* Make or check the folder (bpffs.h) and lock it.  -EBUSY: another agent holds it; the message does
 * not know which. */
int pins_open(const char *folder, gid_t group, struct pins *ret_pins, struct diag *diag);

/* Only lock a folder that is there. */
int pins_lock(const char *folder, struct pins *ret_pins, struct diag *diag);

/* Take the lock away, too, after everything else; the pins are closed. */
int pins_unlock(struct pins *pins);

/* Is the folder still the one that we locked, on a BPF file system? */
bool pins_are_ours(const struct pins *pins);

/* What is pinned stays. */
void pins_close(struct pins *pins);

/* All below return 0 or a negative errno.  `set` is the name of a folder in the pin folder. */

/* One that is there already, and root's, gets the right mode and group. */
int pins_make_set(const struct pins *pins, const char *set);
int pins_rename_set(const struct pins *pins, const char *from, const char *to);

/* Unpins everything in it, and removes it; nothing there is a success.  Adds to `removed`. */
int pins_remove_set(const struct pins *pins, const char *set, unsigned *removed);

/* Replaces what has the name already, by one step. */
int pins_put(const struct pins *pins, const char *set, const char *name, int fd,
             enum pin_kind kind);
bool pins_has(const struct pins *pins, const char *set, const char *name);
int pins_remove(const struct pins *pins, const char *set, const char *name);

/* A descriptor for reading and writing, of a pin that only root can have made: else -EPERM. */
int pins_get(const struct pins *pins, const char *set, const char *name);

/* Names in a set or, if `set` is NULL, in the pin folder.  Calls `visit` for each, which may remove
 * it; stops at the first negative result and returns it. */
int pins_each(const struct pins *pins, const char *set,
              int (*visit)(const char *name, void *context), void *context);

#endif
