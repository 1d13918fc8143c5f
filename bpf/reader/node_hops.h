/* SPDX-License-Identifier: Apache-2.0 */
/* How many routers of this node a SYN had passed when it was seen (struct syn, node_hops).
 *
 * A hook on a device, or in the agent's own network namespace, sees packets as they arrive.  A
 * control group sees those of a pod behind the node's routing, each step of which takes one off the
 * TTL: how many there are is the operator's to say (capture_config.node_hops). */
#ifndef NODE_HOPS_H
#define NODE_HOPS_H

#include <stdbool.h>
#include <stdint.h>

#include "record.h"

/* `netns` is the socket's network namespace, `host_netns` the agent's; 0: not known. */
static inline bool syn_is_behind_routers(const struct syn_record *syn, uint64_t netns,
                                         uint64_t host_netns)
{
    return syn->hook == SYN_HOOK_CGROUP && netns != 0 && host_netns != 0 && netns != host_netns;
}

static inline uint8_t node_hops_of(const struct capture_config *config)
{
    return (uint8_t)(config->node_hops < UINT8_MAX ? config->node_hops : UINT8_MAX);
}

#endif
