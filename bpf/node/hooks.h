/* SPDX-License-Identifier: Apache-2.0 */
/* One program at one place: attach, replace without a gap, find out whether it is still there,
 * detach.
 *
 * XDP, tcx and control groups are held by a BPF link; clsact has none (clsact.h). */
#ifndef HOOKS_H
#define HOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include "clsact.h"
#include "diag.h"
#include "node.h"

/* Where. */
struct hook_place {
    enum node_hook_kind kind;
    unsigned ifindex;   /* of a device */
    uint64_t cgroup_id; /* of a control group: the inode number of its folder */
};

/* The program at a place. */
struct hook_link {
    int fd; /* -1 for clsact */
    struct clsact clsact;
};

static inline bool hook_is_xdp(enum node_hook_kind kind)
{
    return kind == NODE_HOOK_XDP_NATIVE || kind == NODE_HOOK_XDP_GENERIC;
}

/* `cgroup_fd`: its folder, for control groups.  Returns 0, or a negative errno: -EBUSY or -EEXIST
 * when XDP is taken, -EOPNOTSUPP when the driver has none, -EINVAL when the kernel has no tcx. */
int hook_attach(const struct hook_place *place, int cgroup_fd, int program,
                struct hook_link *ret_link);

/* Replace the program by one step.  `old_program` is what must be there, -1: whatever is. */
int hook_replace(const struct hook_place *place, struct hook_link *link, int program,
                 int old_program);

enum hook_health {
    HOOK_ATTACHED = 0,
    HOOK_DETACHED, /* somebody took it off, or its place is gone */
};
enum hook_health hook_check(const struct hook_place *place, const struct hook_link *link);

/* Is it what the device of that number in our own network namespace has, or the control group?  A
 * link says a number, but not in which namespace.  Slower than hook_check(): for a link that
 * somebody else has made. */
bool hook_is_here(const struct hook_place *place, const struct hook_link *link);

/* Detach, whoever else holds the link. */
void hook_detach(const struct hook_place *place, const struct hook_link *link);

/* Close the descriptor; what is attached and pinned stays. */
void hook_link_done(struct hook_link *link);

/* The program that is attached to the device's XDP hook, 0: none. */
uint32_t hook_find_xdp(unsigned ifindex);

/* Is that one attached above the driver? */
bool hook_xdp_is_generic(unsigned ifindex);

/* Name of the program, where we may ask (it takes CAP_SYS_ADMIN); else "". */
void hook_program_name(uint32_t program_id, char ret_name[16]);

/* Sets a message that says what to do about a failure of hook_attach(). */
int hook_error(struct diag *diag, int error, const struct hook_place *place, const char *target);

#endif
