/* SPDX-License-Identifier: Apache-2.0 */
#include "coverage.h"

#include <string.h>

/* clang-format off */
static const struct coverage_way WAYS[] = {
    {.row = "routed", .title = "routed, no NAT", .whose = "the client's"},
    {.row = "dnat", .title = "DNAT only", .whose = "the client's"},
    {.row = "dnat-masquerade", .title = "DNAT and masquerade",
     .whose = "the client's, with another address and a lower TTL"},
    {.row = "same-node", .title = "pod to pod on one node", .whose = "the calling pod's"},
    {.row = "vxlan", .title = "VXLAN overlay", .whose = "the calling pod's"},
    {.row = "redirect", .title = "sidecar, REDIRECT to 15006", .whose = "the caller's"},
    {.row = "tproxy", .title = "sidecar, TPROXY", .whose = "the caller's"},
    {.row = "redirect-peer", .title = "bpf_redirect_peer (Cilium's host routing)",
     .whose = "the client's"},
    {.row = "syn-cookies", .title = "SYN cookies", .whose = "the client's"},
    {.row = "earlier-listener", .title = "listener older than the capture",
     .whose = "the client's"},
    {.row = "loopback", .title = "loopback inside a pod", .whose = "of a process in the same pod"},

    {.row = "gateway-local", .title = "gateway pod, externalTrafficPolicy Local or DSR",
     .whose = "the client's", .like = "dnat"},
    {.row = "gateway-cluster", .title = "gateway pod, externalTrafficPolicy Cluster",
     .whose = "the client's, with another address and a lower TTL", .like = "dnat-masquerade"},
    {.row = "gateway-hostnetwork", .title = "gateway in the node's network",
     .whose = "the client's", .like = "routed"},
    {.row = "cilium-snat", .title = "Cilium without kube-proxy, SNAT, backend on another node",
     .whose = "the client's, with another address and a lower TTL", .like = "dnat-masquerade"},
    {.row = "cilium-host-routing", .title = "Cilium, eBPF host routing",
     .whose = "the client's", .like = "redirect-peer"},
    {.row = "overlay", .title = "other overlays (IPIP, WireGuard, Geneve)",
     .whose = "the calling pod's", .like = "same-node"},
    {.row = "cloud-cni", .title = "pods with addresses of the cloud's network",
     .whose = "the last TCP hop's", .like = "routed"},
    {.row = "sidecar-redirect", .title = "sidecar inbound, REDIRECT",
     .whose = "the calling pod's node's", .like = "redirect"},
    {.row = "sidecar-tproxy", .title = "sidecar inbound, TPROXY",
     .whose = "the calling pod's node's", .like = "tproxy"},
    {.row = "l7-balancer", .title = "behind an HTTP load balancer or CDN",
     .whose = "the balancer's", .like = "routed"},
    {.row = "ambient-waypoint", .title = "ambient waypoint (HBONE)",
     .whose = "ztunnel's: one SYN for many clients", .unsupported = true},
    {.row = "proxy-protocol", .title = "PROXY protocol listener",
     .whose = "the balancer's", .unsupported = true},
    {.row = "http3", .title = "HTTP/3, unix sockets, Envoy's internal listeners",
     .whose = "nobody's: there is no TCP SYN", .unsupported = true},
};
/* clang-format on */

enum { WAY_COUNT = sizeof(WAYS) / sizeof(WAYS[0]) };

/* What a hook sees of a connection's SYN, against the tuple that Envoy reports. */
enum sight {
    SIGHT_NONE = 0,
    SIGHT_SAME,          /* the very tuple */
    SIGHT_DESTINATION,   /* another destination: it is rewritten behind the hook */
    SIGHT_REDIRECT_PORT, /* another destination port: it was rewritten before the hook, and Envoy
                            reports the original one */
    SIGHT_SOURCE,        /* another source: nobody can tell that it is the same connection */
    SIGHT_VXLAN,         /* the very tuple, inside a tunnel */
};

/* Of the measured ways. */
static const struct {
    const char *row;
    enum sight device, cgroup;
} SIGHTS[] = {
    {"routed", SIGHT_SAME, SIGHT_SAME},
    {"dnat", SIGHT_DESTINATION, SIGHT_SAME},
    {"dnat-masquerade", SIGHT_SOURCE, SIGHT_SAME},
    {"same-node", SIGHT_NONE, SIGHT_SAME},
    {"vxlan", SIGHT_VXLAN, SIGHT_SAME},
    {"redirect", SIGHT_SAME, SIGHT_REDIRECT_PORT},
    {"tproxy", SIGHT_SAME, SIGHT_SAME},
    {"redirect-peer", SIGHT_SAME, SIGHT_SAME},
    {"syn-cookies", SIGHT_SAME, SIGHT_SAME},
    {"earlier-listener", SIGHT_SAME, SIGHT_SAME},
    {"loopback", SIGHT_NONE, SIGHT_SAME},
};

enum { SIGHT_COUNT = sizeof(SIGHTS) / sizeof(SIGHTS[0]) };

const struct coverage_way *coverage_ways(size_t *ret_count)
{
    *ret_count = WAY_COUNT;
    return WAYS;
}

/* Is a record made of this sight found by Envoy's tuple?  The tracker knows the socket, and so what
 * a destination was rewritten to; without it the wire's tuple must be Envoy's. */
static bool is_found(enum sight sight, const struct coverage_choice *choice)
{
    switch (sight) {
    case SIGHT_SAME:
    case SIGHT_REDIRECT_PORT:
        return true;
    case SIGHT_DESTINATION:
        return choice->tracked;
    case SIGHT_VXLAN:
        return choice->vxlan;
    case SIGHT_SOURCE:
    case SIGHT_NONE:
        break;
    }
    return false;
}

/* The outermost hook that sees a SYN keeps it. */
static enum syn_hook hook_for(const char *row, const struct coverage_choice *choice)
{
    for (size_t i = 0; i < SIGHT_COUNT; i++) {
        if (strcmp(SIGHTS[i].row, row) != 0)
            continue;
        if (choice->device != SYN_HOOK_NONE && is_found(SIGHTS[i].device, choice))
            return choice->device;
        if (choice->cgroups && is_found(SIGHTS[i].cgroup, choice))
            return SYN_HOOK_CGROUP;
    }
    return SYN_HOOK_NONE;
}

struct coverage_answer coverage_of(const struct coverage_way *way,
                                   const struct coverage_choice *choice)
{
    enum syn_hook hook;

    if (way->unsupported)
        return (struct coverage_answer){"unsupported", SYN_HOOK_NONE};
    hook = hook_for(way->like ? way->like : way->row, choice);
    if (hook == SYN_HOOK_NONE)
        return (struct coverage_answer){"missing", SYN_HOOK_NONE};
    return (struct coverage_answer){choice->tracked ? "verified" : "captured", hook};
}
