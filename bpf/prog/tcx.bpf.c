/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The same behind the driver, where a device cannot have XDP or has another's: as a tcx link, or as
 * a filter of clsact.  TC_ACT_UNSPEC, which tcx calls TCX_NEXT, leaves the packet to whoever comes
 * next.
 *
 * What is not in the linear part is not fetched, since that would change the packet: its headers
 * would be counted as cut off. */
#include "capture.h"

#include <linux/pkt_cls.h>

GLOBAL int store_from_tcx(struct __sk_buff *ctx, const struct place *place)
{
    struct arrival at = {
        .data = (const __u8 *)(long)ctx->data,
        .end = (const __u8 *)(long)ctx->data_end,
        .length = ctx->len,
        .ifindex = ctx->ifindex,
        .hook = SYN_HOOK_TCX,
    };

    handle_syn(place, &at);
    return 0;
}

/* The kernel has taken the outer VLAN tag out of the frame. */
SEC("tc")
int capture_tcx(struct __sk_buff *ctx)
{
    void *data = (void *)(long)ctx->data;
    void *end = (void *)(long)ctx->data_end;
    struct place place;

    if (find_syn(data, end, ctx->vlan_present != 0, SYN_HOOK_TCX, &place))
        store_from_tcx(ctx, &place);
    return TC_ACT_UNSPEC;
}

char licence[] SEC("license") = "Dual BSD/GPL";
