/* SPDX-License-Identifier: Apache-2.0 */
/* Why the kernel refused, in words that say what to do.
 *
 * A bare "Operation not permitted" has half a dozen causes; each that can be found out from here is
 * named, what cannot be found out is called unknown. */
#ifndef LOAD_ERROR_H
#define LOAD_ERROR_H

#include <stdbool.h>

#include "diag.h"

/* From here on libbpf prints nothing; this thread's first warning is kept for load_error(). */
void load_error_listen(void);

/* `error`: what opening or loading the objects returned, negative.  Sets the message and returns
 * `error`. */
int load_error(struct diag *diag, int error);

/* Is one of CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN not there? */
bool load_error_lacks_capabilities(void);

/* Same for attaching the XDP program to `interface`; `ifindex` is 0 if there is none. */
int attach_error(struct diag *diag, int error, const char *interface, unsigned ifindex);

#endif
