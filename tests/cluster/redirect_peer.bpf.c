/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* For tests: hands packets for one pod from the node's device straight to the pod's, as Cilium's
 * host routing does: past the node's IP stack and past the egress of the pod's veth.
 *
 * Compiled for each pod with DEVICE, the index of the pod's veth on the node, and its addresses
 * POD_IPV4 (one number, network order) and POD_IPV6 (four of them, with commas). */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum { NEXT = -1 }; /* TCX_NEXT: whoever comes after us decides */

static int is_for_pod(struct __sk_buff *skb)
{
    const __u32 ipv6[4] = {POD_IPV6};
    __u32 destination[4] = {0};

    if (skb->protocol == bpf_htons(ETH_P_IP))
        return !bpf_skb_load_bytes(skb, ETH_HLEN + offsetof(struct iphdr, daddr), destination, 4) &&
               destination[0] == POD_IPV4;
    if (skb->protocol != bpf_htons(ETH_P_IPV6) ||
        bpf_skb_load_bytes(skb, ETH_HLEN + offsetof(struct ipv6hdr, daddr), destination, 16))
        return 0;
    return destination[0] == ipv6[0] && destination[1] == ipv6[1] && destination[2] == ipv6[2] &&
           destination[3] == ipv6[3];
}

SEC("tc")
int redirect_peer(struct __sk_buff *skb)
{
    return is_for_pod(skb) ? (int)bpf_redirect_peer(DEVICE, 0) : NEXT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
