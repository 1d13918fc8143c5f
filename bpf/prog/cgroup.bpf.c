/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The same where a packet reaches the socket of a process in a control group: behind NAT and
 * tunnels, with the tuple that the socket sees.  1 lets it through. */
#include "capture.h"

GLOBAL int store_from_cgroup(struct __sk_buff *ctx, const struct place *place)
{
    struct arrival at = {
        .data = (const __u8 *)(long)ctx->data,
        .end = (const __u8 *)(long)ctx->data_end,
        .length = ctx->len,
        .ifindex = ctx->ifindex,
        .hook = SYN_HOOK_CGROUP,
    };

    handle_syn(place, &at);
    return 0;
}

/* The data starts with the IP header.  Tunnels of the kernel end before they get here; what looks
 * like one is for a process, which unpacks it for itself. */
SEC("cgroup_skb/ingress")
int capture_cgroup(struct __sk_buff *ctx)
{
    void *data = (void *)(long)ctx->data;
    void *end = (void *)(long)ctx->data_end;
    struct parse_packet packet;
    struct place place;
    enum parse_result result = parse_ip(data, end, &packet);

    if (result == PARSE_UDP || result == PARSE_TUNNEL)
        result = PARSE_NOT_TCP;
    if (place_of(result, &packet, SYN_HOOK_CGROUP, &place))
        store_from_cgroup(ctx, &place);
    return 1;
}

char licence[] SEC("license") = "Dual BSD/GPL";
