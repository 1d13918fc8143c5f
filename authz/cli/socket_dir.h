/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of the server's unix socket, where the server itself may not make it.
 *
 * Kubernetes makes the folder of a hostPath, as root's and with mode 0755, and has nobody else who
 * could give it to a server without privileges.  An agent that runs as root with the server's group
 * can, without any capability. */
#ifndef SOCKET_DIR_H
#define SOCKET_DIR_H

#include <sys/types.h>

#include "diag.h"

/* Afterwards `path` is a folder of ours that `group` may write to and everybody else may go through
 * (0775); the one above it has to be there.  Returns 0, or a negative errno with a message: -EPERM
 * when it is somebody else's, or when `group` is not one of ours and CAP_CHOWN is missing. */
int socket_dir_prepare(const char *path, gid_t group, struct diag *diag);

#endif
