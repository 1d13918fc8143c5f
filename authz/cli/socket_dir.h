/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of the server's unix socket, where the server itself may not make it.
 *
 * Kubernetes makes the folder of a hostPath, as root's and with mode 0755, and has nobody else who
 * could give it to a server without privileges.  An agent that runs as root with the server's group
 * can, without any capability.
 *
 * Whoever may write to a folder may remove an empty one in it, and Linux takes away what is mounted
 * there in other mount namespaces: so it is sticky, and the pin folder is not in it. */
#ifndef SOCKET_DIR_H
#define SOCKET_DIR_H

#include <sys/types.h>

#include "diag.h"

/* May both be used together?  0, or -EINVAL with a message when one is in the other or both are the
 * same. */
int socket_dir_check(const char *path, const char *pin_dir, struct diag *diag);

/* Afterwards `path` is a folder that `group` may write to and everybody else may go through
 * (01775); the one above it has to be there, and nobody but root may be able to put another in its
 * place (trusted_path.h).  One that is there already is changed only if it is root's, has a plain
 * mode that does not let everybody write (or the one above), and holds nothing but sockets. Another
 * is used as it is, if it is root's and only `group` may write to it.
 *
 * Returns 0, or a negative errno with a message: -EPERM when it is somebody else's, or when `group`
 * is not one of ours and CAP_CHOWN is missing; -EEXIST when others use it. */
int socket_dir_prepare(const char *path, gid_t group, struct diag *diag);

#endif
