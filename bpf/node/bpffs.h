/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of the pins: on a BPF file system, one of its own where there is none yet, and
 * nobody's but root's.  What another user owns or may write to is refused: he could have put things
 * there that we would believe.  So is a folder that somebody else could put another one in place of
 * (trusted_path.h).
 *
 * The root of a BPF file system that somebody else mounted is shared with others: it may serve as
 * it is, and its mode and group are never changed.  One that was mounted for agents has the source
 * `synauthz`, whoever mounted it (`mount -t bpf -o mode=0750 synauthz FOLDER`). */
#ifndef BPFFS_H
#define BPFFS_H

#include <stdbool.h>
#include <sys/types.h>

#include "diag.h"

enum { BPFFS_PATH_MAX = 200 };

/* Is it a folder on a BPF file system?  False also when it does not exist. */
bool bpffs_holds(const char *folder);

/* After this `folder` exists, is on a BPF file system, root's, and of mode 0750 for `group`, or a
 * shared root whose mode lets `group` read.  Parents that are missing are made with mode 0755.  A
 * file system of its own is mounted on an empty folder only.
 *
 * Returns a descriptor for reading it, which the caller owns; or a negative errno with a message
 * that says what to do. */
int bpffs_prepare(const char *folder, gid_t group, struct diag *diag);

/* The same of a folder that is there, of which nothing is changed.  Returns a descriptor, -ENOENT
 * when it is not there or on no BPF file system, or another negative errno; always with a message.
 */
int bpffs_open(const char *folder, struct diag *diag);

/* Give a folder or pin, `name` in `folder` or with "" the folder itself, its mode, and to `group`
 * unless it is that group's already, which takes CAP_CHOWN.  Returns 0 or a negative errno. */
int bpffs_set_access(int folder, const char *name, gid_t group, mode_t mode);

/* Take away what bpffs_prepare() made, as far as it is empty: the file system, if it was mounted
 * by us exactly there, and the folder, unless somebody else mounted something there.  Parents
 * stay. */
void bpffs_remove(const char *folder);

#endif
