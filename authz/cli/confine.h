/* SPDX-License-Identifier: Apache-2.0 */
/* What a process that only reads maps may ask of bpf(2), for good: looking up, opening a pin,
 * asking what a map is.
 *
 * A read-only descriptor of a map is no promise: where the process may make files in some bpffs, it
 * can pin the map there and open its own pin for writing.  With this it cannot, whatever takes it
 * over; nor can its children.  A seccomp filter, so no privilege is needed, only no_new_privs. */
#ifndef CONFINE_H
#define CONFINE_H

#include "diag.h"

/* For this thread and those it starts.  Everything else that bpf() does is answered with EPERM, and
 * so are all system calls by another machine's numbers (32-bit ones on a 64-bit kernel).  Returns
 * 0, or a negative errno with a message. */
int confine_bpf(struct diag *diag);

#endif
