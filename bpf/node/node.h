/* SPDX-License-Identifier: Apache-2.0 */
/* Capture for a whole node, which outlives the process that set it up: the heart of `agent`.
 *
 * One thread.  Needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; CAP_SYS_ADMIN only to mount a bpffs of
 * its own where the pin folder is on none, CAP_CHOWN only to give the pins to a group that is not
 * the process's own.
 *
 * The pin folder holds one folder for each set of maps: v<layout>, and v<layout>-<n> once sizes
 * were changed.  The newest one is in use.  What it replaces stays until its last pending
 * handshakes have ended; maps that need not change are the same ones in both, live connections are
 * carried over. */
#ifndef NODE_H
#define NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "addr.h"
#include "capture_maps.h"
#include "diag.h"
#include "record.h"

/* Where SYNs are to be seen. */
enum node_mode {
    /* On each device XDP in its driver, or tcx where that is taken or not possible, or clsact where
     * there is no tcx; and besides the control groups, where SYNs are seen behind NAT, in pods and
     * on loopback.  Of several hooks that see a SYN the outermost one keeps it. */
    NODE_AUTO = 0,
    NODE_XDP,         /* in the driver, or fail */
    NODE_XDP_GENERIC, /* above any driver */
    NODE_TCX,         /* or clsact */
    NODE_CGROUP,
    NODE_MODE_COUNT_,
};

enum { NODE_PENDING_DEFAULT = 131072, NODE_LIVE_DEFAULT = 65536 };

/* Borrowed by the call that takes it. */
struct node_config {
    const char *pin_dir;
    gid_t group; /* of the pins */

    /* May change while it runs. */
    const char *const *interfaces; /* names or shell patterns ("eth*"), in this network namespace */
    size_t interface_count;
    const char *const *cgroups; /* folders of a cgroup2; none: its root */
    size_t cgroup_count;
    bool any_port;
    const uint16_t *ports;
    size_t port_count;
    const struct prefix *prefixes; /* destinations; none: all */
    size_t prefix_count;
    uint16_t vxlan_port; /* 0: VXLAN is not looked into */
    uint32_t syn_rate;   /* of one source, per second and CPU, once it is not calm; 0: no limit */
    uint8_t node_hops;   /* record.h, struct capture_config */
    uint32_t captured_ms;

    /* Fixed from node_start() on. */
    enum node_mode mode;
    bool no_tracking;     /* as on a host where sockets cannot be followed */
    uint32_t max_pending; /* 0: the default */
    uint32_t max_live;
};

struct node;

/* In two steps, so that a caller takes what two agents cannot both have only where it is the one.
 *
 * node_open(): the pin folder is made or checked, and locked.  node_run(): maps are there (an
 * earlier set that fits is taken over, with all it knows); programs run; maps and links are pinned.
 * node_start(): both.
 *
 * All return 0, or a negative errno with a message that says what to do: missing capability, busy
 * device, no BTF, lockdown, too few descriptors, a pin folder that is not root's, another agent
 * (-EBUSY).  Of a start that failed nothing stays but what was there before; after node_run() a
 * node_leave() is due either way.  Interfaces that are not there yet are no error: node_status()
 * says so. */
int node_open(const struct node_config *config, struct node **ret_node, struct diag *diag);
int node_run(struct node *node, struct diag *diag);
int node_start(const struct node_config *config, struct node **ret_node, struct diag *diag);

/* New filters, devices, control groups and limits, without a gap.  All or nothing.  Returns -EINVAL
 * with a message when something fixed differs. */
int node_reconfigure(struct node *node, const struct node_config *config, struct diag *diag);

/* Attach what is missing, forget what is gone: whenever devices may have changed, and every few
 * seconds for control groups, which nobody reports. */
void node_reconcile(struct node *node);

/* Every second: tell readers that we live, mend what somebody detached or unpinned. */
void node_beat(struct node *node);

/* A descriptor that becomes readable when devices or addresses have changed; node_drain_events()
 * empties it. */
int node_event_fd(const struct node *node);
void node_drain_events(struct node *node);

enum node_hook_kind {
    NODE_HOOK_XDP_NATIVE = 0,
    NODE_HOOK_XDP_GENERIC,
    NODE_HOOK_TCX,
    NODE_HOOK_CLSACT,
    NODE_HOOK_CGROUP,
    NODE_HOOK_COUNT_,
};
/* "xdp", "xdp-generic", "tcx", ...  (They are in choose.c.) */
extern const char *const NODE_HOOK_NAMES[NODE_HOOK_COUNT_];

/* One place that SYNs are, or should be, seen at. */
struct node_hook {
    enum node_hook_kind kind;
    char target[256]; /* name of the device, or path of the control group */
    unsigned ifindex; /* 0: a control group, or the device is not there */
    bool attached;
    char why[256]; /* attached: why this kind; else: why not */
};

struct node_status {
    bool ready; /* tracking (or its substitute) runs, nothing asked for is missing, all is pinned */
    char why[256]; /* why not ready; empty when ready */
    bool unpinned; /* it would end with the agent, and `why` is about that */
    bool tracked;
    char why_untracked[256];
    const struct node_hook *hooks; /* borrowed until the next call of another function */
    size_t hook_count;
    uint64_t attach_failures, device_losses, repairs; /* since node_start() */
    uint64_t heartbeat_ns; /* when the maps were told last that we live (CLOCK_BOOTTIME) */
    uint64_t map_bytes;    /* what the kernel keeps for the maps */
    uint64_t memory_limit; /* of the agent's control group, 0: none; the maps count towards it */
    uint64_t carried, not_carried; /* live connections, when maps were replaced in node_start() */
    const char *set;               /* the folder in use, "v2" */
    bool took_over;                /* the set was there already */
};
void node_get_status(struct node *node, struct node_status *ret_status);

/* Owned by the node; change with a new set of maps only in node_start(). */
const struct capture_maps *node_get_maps(const struct node *node);

/* What is attached stays attached, if it is pinned (node_status), and the folder's lock is
 * released; of a node that does not run yet nothing stays.  Takes NULL. */
void node_leave(struct node *node);

/* Detach and remove everything that any agent ever left in `pin_dir`, and the bpffs that one had
 * mounted there.  Nothing there is a success.  -EBUSY while an agent runs.  `ret_removed`: pins. */
int node_cleanup(const char *pin_dir, unsigned *ret_removed, struct diag *diag);

#endif
