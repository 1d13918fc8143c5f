/* SPDX-License-Identifier: Apache-2.0 */
/* The capture program as a filter of a device's clsact qdisc, for kernels without tcx.
 *
 * The kernel keeps the filter until somebody deletes it, whatever becomes of the process.  Ours has
 * a handle and a priority of its own, and is ours only if its program is the one that we know. */
#ifndef CLSACT_H
#define CLSACT_H

#include <stdbool.h>
#include <stdint.h>

struct clsact {
    uint32_t program_id;
    bool made_qdisc; /* the qdisc was not there before, and goes when the last filter has gone */
};

/* Both return 0 or a negative errno; -EEXIST: somebody has our handle there already. */
int clsact_attach(unsigned ifindex, int program, struct clsact *ret_clsact);
int clsact_replace(unsigned ifindex, int program, struct clsact *clsact);

/* Is our filter there, with this program? */
bool clsact_has(unsigned ifindex, const struct clsact *clsact);

/* Does nothing where our filter is not. */
void clsact_detach(unsigned ifindex, const struct clsact *clsact);

#endif
