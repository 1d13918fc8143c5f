/* SPDX-License-Identifier: Apache-2.0 */
/* Which hook sees the SYNs of a device, whether the control groups do besides, and whether sockets
 * are followed: facts in, decisions with their reasons out.
 *
 * Pure, and the one truth for what `agent` attaches and for what `doctor` says that it would.  A
 * hook that was chosen may still turn out not to work: note what attaching said in `refused` and
 * choose again, until nothing is left. */
#ifndef CHOOSE_H
#define CHOOSE_H

#include <stdbool.h>
#include <stdint.h>

#include "node.h"

enum { CHOOSE_WHY_MAX = 256 };

struct choose_host {
    int refused[NODE_HOOK_COUNT_]; /* what loading the program of a kind said: a negative errno, or
                                      0: it loads */
    bool has_cgroup2;              /* it is mounted where this process can see it */
    bool has_interfaces;           /* some were asked for */
};

struct choose_device {
    const char *name;              /* or the pattern that stands for none */
    unsigned ifindex;              /* 0: there is no such device */
    unsigned short type;           /* ARPHRD_*, linux/if_arp.h */
    uint32_t foreign_xdp;          /* id of somebody else's XDP program, 0: none */
    const char *foreign_name;      /* of that program; may be NULL */
    int refused[NODE_HOOK_COUNT_]; /* what attaching said so far, 0: not tried */
};

struct choice {
    bool some;                /* there is a hook to attach */
    enum node_hook_kind kind; /* which; only if there is one */
    bool missing; /* none, although it was asked for and nothing else stands in for it, or
                     the device was named and is not there: capture is degraded */
    char why[CHOOSE_WHY_MAX]; /* why this one, or why none; no newline, no full stop */
};

void choose_for_device(enum node_mode mode, const struct choose_host *host,
                       const struct choose_device *device, struct choice *ret_choice);

void choose_for_cgroups(enum node_mode mode, const struct choose_host *host,
                        struct choice *ret_choice);

/* `refused`: what loading the tracker said.  `has_btf`: whether /sys/kernel/btf/vmlinux is there.
 * Returns true when sockets are followed; false: SYNs are `captured` and prove nothing. */
bool choose_tracking(int refused, bool has_btf, bool turned_off, char ret_why[CHOOSE_WHY_MAX]);

#endif
