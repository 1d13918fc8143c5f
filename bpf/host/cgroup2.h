/* SPDX-License-Identifier: Apache-2.0 */
/* Where cgroup2 is. */
#ifndef CGROUP2_H
#define CGROUP2_H

enum { CGROUP2_PATH_MAX = 256 };

/* Where it is mounted, by /proc/self/mountinfo; of several places the one that reaches highest (in
 * a container: the host's, if it was given to it).  Returns 0 with a path, or -ENOENT or another
 * negative errno. */
int cgroup2_find(char ret_path[CGROUP2_PATH_MAX]);

#endif
