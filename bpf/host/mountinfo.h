/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/self/mountinfo, line by line.  Source: proc(5). */
#ifndef MOUNTINFO_H
#define MOUNTINFO_H

#include <stdbool.h>
#include <stdint.h>

enum { MOUNT_PATH_MAX = 256, MOUNT_TYPE_MAX = 32 };

struct mount {
    uint64_t id;                 /* statx(2), STATX_MNT_ID */
    char root[MOUNT_PATH_MAX];   /* the part of the file system that is seen here */
    char path[MOUNT_PATH_MAX];   /* where */
    char type[MOUNT_TYPE_MAX];   /* "bpf", "cgroup2", ... */
    char source[MOUNT_PATH_MAX]; /* what mount(2) was told: a device, or any name */
};

/* Returns false when `line` is no such line, or has a path that does not fit. */
bool mountinfo_parse(const char *line, struct mount *ret_mount);

/* How far `mount` reaches up: of two views of one hierarchy the greater number sees more.  "/" is
 * 0; a part of it is negative; what lies above the root of our own namespace (in a container that
 * was given the host's) is positive. */
int mountinfo_height(const struct mount *mount);

/* Calls `visit` for each mount of this process, in their order, until it returns something else
 * than 0; returns that, 0, or -errno when the list cannot be read. */
int mountinfo_each(int (*visit)(const struct mount *mount, void *context), void *context);

#endif
