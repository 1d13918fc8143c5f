/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Record each TCP SYN that arrives at a device, and let every packet pass. */
#include "capture.h"

/* Set by the loader: packets may have bytes behind data_end (kernels that know the flag know the
 * helper). */
const volatile _Bool has_frags = 0;

GLOBAL int store_from_xdp(struct xdp_md *ctx, const struct place *place)
{
    struct arrival at = {
        .data = (const __u8 *)(long)ctx->data,
        .end = (const __u8 *)(long)ctx->data_end,
        .ifindex = ctx->ingress_ifindex,
        .hook = SYN_HOOK_XDP,
    };

    at.length = has_frags ? bpf_xdp_get_buff_len(ctx) : (__u64)(at.end - at.data);
    handle_syn(place, &at);
    return 0;
}

SEC("xdp")
int capture_xdp(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data;
    void *end = (void *)(long)ctx->data_end;
    struct place place;

    if (find_syn(data, end, 0, SYN_HOOK_XDP, &place))
        store_from_xdp(ctx, &place);
    return XDP_PASS;
}

char licence[] SEC("license") = "Dual BSD/GPL";
