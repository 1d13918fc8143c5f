/* SPDX-License-Identifier: Apache-2.0 */
/* Folders that nobody but root can put another one in place of.
 *
 * Who may write to any folder above one can rename what is on the way and put a folder of his own,
 * or a link to somebody else's, there: between a check and the use, or after it.  So a path is
 * walked from the root folder on, by descriptors and without following links.  Each folder on the
 * way must be root's, and one that others may write to must be sticky, as /tmp is: what is root's
 * in it can be renamed or removed by nobody else.
 *
 * What is done then is done by the descriptors. */
#ifndef TRUSTED_PATH_H
#define TRUSTED_PATH_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "diag.h"

/* A name in a folder that was reached so.  Whether there is anything of that name, and whose it is,
 * is not known. */
struct trusted_path {
    int parent; /* O_PATH; -1: none */
    char name[NAME_MAX + 1];
};

/* Walk to the folder above the last one of `path`, which must be absolute.  Slashes and `.` in
 * excess are no matter; `..` is refused, and so is "/".  Returns 0; or, with a message that says
 * which folder, why, and what to do, -EPERM when somebody else could change where it leads, -EINVAL
 * for no such path, or what the system says: -ENOENT, -EACCES, ... */
int trusted_path_find(const char *path, struct trusted_path *ret_place, struct diag *diag);

/* The same; folders that are missing are made, with mode 0755 whatever the umask is. */
int trusted_path_make_parents(const char *path, struct trusted_path *ret_place, struct diag *diag);

void trusted_path_done(struct trusted_path *place);

/* Open the folder itself for reading, without following a link.  Returns a descriptor, or a
 * negative errno: -ENOTDIR for a link as well. */
int trusted_path_open(const struct trusted_path *place);

/* "/proc/self/fd/<folder>/<name>", for calls that take a path only: bpf(2), mount(2).  Returns
 * false when it does not fit. */
enum { FOLDER_ENTRY_MAX = NAME_MAX + 32 };
bool folder_entry_path(int folder, const char *name, char ret_path[FOLDER_ENTRY_MAX]);

/* Is `name` in `folder`, or with "" the folder itself, root's, and writable by nobody else?  0, or
 * -EPERM with a message about `path`, which is what the message calls it; or another negative
 * errno. */
int trusted_check(int folder, const char *name, const char *path, struct diag *diag);

#endif
