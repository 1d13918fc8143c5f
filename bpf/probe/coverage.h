/* SPDX-License-Identifier: Apache-2.0 */
/* What a choice of hooks sees on each way that a connection can take to its server, and whose SYN
 * that is.  Pure; the one table that `doctor` prints and that measurements are compared with.
 *
 * A way is one that was measured, by replaying it in network namespaces; or a scenario of a mesh,
 * which is one of those under another name, or one where no SYN of the client's reaches this host
 * at all. */
#ifndef COVERAGE_H
#define COVERAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "record.h"

struct coverage_way {
    const char *row;   /* "routed", "dnat", ...: a name for scripts */
    const char *title; /* for people */
    const char *whose; /* the fingerprint is, if there is one */
    const char *like;  /* the row of the measured way that this scenario is; NULL: it was measured
                          itself, or there is none */
    bool unsupported;  /* there is no TCP peer of ours to look for */
};

/* Static.  The measured ones come first. */
const struct coverage_way *coverage_ways(size_t *ret_count);

struct coverage_choice {
    enum syn_hook device; /* on the node's devices: SYN_HOOK_XDP, _TCX, or _NONE for no hook */
    bool cgroups;
    bool tracked;
    bool vxlan; /* looked into by the devices' hook */
};

struct coverage_answer {
    const char *state;  /* as `lookup` names it: "verified", "captured", "missing", "unsupported" */
    enum syn_hook hook; /* whose record it is; SYN_HOOK_NONE without one */
};

/* `way`: one of coverage_ways(). */
struct coverage_answer coverage_of(const struct coverage_way *way,
                                   const struct coverage_choice *choice);

#endif
