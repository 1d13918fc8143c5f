/* SPDX-License-Identifier: Apache-2.0 */
/* The capture's maps by their pins, for whoever reads: no capability is needed, nothing can be
 * written through the descriptors. */
#ifndef PIN_READER_H
#define PIN_READER_H

#include "capture_maps.h"
#include "diag.h"

#define PIN_DIR_DEFAULT "/run/synauthz/bpf"

/* The newest set in `pin_dir` that is complete, in use and has our READER_LAYOUT.  Returns 0 with
 * all maps that readers may read open (pending, last_isn, limiter, watch and events stay -1); or a
 * negative errno with a message:
 *   -ENOENT  nothing is pinned there: no agent has run
 *   -EACCES  this user may not read it; the message names the group that may
 *   -EPERM   bpf() is refused (before Linux 5.19 it takes CAP_BPF), or the folder is not root's: a
 *            folder or pin that anybody else could have made is not believed
 *   -EPROTO  only sets of other layouts
 *   -ESTALE  capture has ended there */
int pin_reader_open(const char *pin_dir, struct capture_maps *ret_maps, struct diag *diag);

/* The kernel's number of the map `meta`: another one is another set.  Returns 0 or a negative errno
 * (as above, without a message). */
int pin_reader_identity(const char *pin_dir, unsigned *ret_id);

#endif
